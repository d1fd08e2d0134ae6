import Glibc
import MusterGround
import MusterParticipation
import MusterSchema

/// What the agent remembers over a restart: a few records in one small JSON file, replaced as a whole.
///
/// Nothing in it is needed for a right result: the ledger counts a contribution once, whoever repeats it. A lost record costs work done
/// twice. So a record is safe from the death of the process before its effects happen, as the rename is; the disk is made to hold it a second
/// later, unless the job has ended by then, and before a long upload: the way from invitation to a short upload waits for no disk.
struct Journal {
  private struct Content: Codable {
    var version: Int
    var at: Instant
    var records = ParticipantMemory()
  }

  static let version = 1

  let path: String
  private var content = Content(version: Self.version, at: .zero)

  /// Reads what is there.
  ///
  /// - Returns: also a warning, when there was a file that could not be understood: it is set aside.
  /// - Throws: a newer program's file is not touched.
  static func open(_ path: String) throws(AgentError) -> (journal: Journal, warning: String?) {
    var journal = Journal(path: path)
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try Files.read(path, atMost: 4 << 20)
    } catch {
      if error.isMissing { return (journal, nil) }
      throw .state("\(error)")
    }
    struct Version: Decodable { var version: Int }
    do {
      let version = try JSON.decode(Version.self, from: bytes).version
      guard version <= Self.version else {
        throw AgentError.state("\(path) was written by a newer muster-agent (format \(version), this one knows \(Self.version))")
      }
      journal.content = try JSON.decode(Content.self, from: bytes)
      return (journal, nil)
    } catch let error as AgentError {
      throw error
    } catch {
      do throws(FileError) {
        try Files.rename(path, to: "\(path).damaged")
      } catch {
        throw .state("\(error)")
      }
      let why = JSON.explain(error, in: bytes)
      return (journal, "\(path) is not understood (\(why)): it is now \(path).damaged, and the agent starts afresh")
    }
  }

  private init(path: String) { self.path = path }

  /// The machine's time at the last commit.
  var at: Instant { content.at }
  var records: [(at: Instant, record: Participant.Record)] { content.records.records }

  /// Adds records, drops those that they supersede, and replaces the file.
  mutating func commit(_ records: [Participant.Record], at now: Instant, durable: Bool = false) throws(FileError) {
    content.at = now
    content.records.commit(records, at: now)
    try write(durable: durable)
  }

  /// Makes the disk hold what is committed. Blocks as long as the disk does.
  static func flush(_ path: String) throws(FileError) {
    try Files.makeDurable(path)
    try Files.makeDurable(Files.folder(of: path))
  }

  private func write(durable: Bool) throws(FileError) {
    let bytes: [UInt8]
    do {
      bytes = try JSON.encode(content)
    } catch {
      throw FileError(.written, path, EINVAL)
    }
    try Files.replace(path, with: bytes, durable: durable)
  }
}
