import Glibc
import MusterGround
import MusterParticipation
import MusterSchema

/// The agent's memory over a restart: a few records in one small JSON file, which is replaced as a whole.
///
/// No result depends on it for correctness, because the ledger counts a contribution once even if it is sent twice. A lost record only
/// costs work that is done twice. Before the effects of a record happen, the file is renamed into place, so the record survives the death
/// of the process. It is flushed to the disk a second later, unless the job has ended by then, and before a long upload. So the way from an
/// invitation to a short upload never waits for the disk.
struct Journal {
  private struct Content: Codable {
    var version: Int
    var at: Instant
    var records = ParticipantMemory()
  }

  static let version = 1

  let path: String
  private var content = Content(version: Self.version, at: .zero)

  /// Reads the journal file.
  ///
  /// - Returns: the journal, and a warning when the file could not be decoded and was renamed.
  /// - Throws: `AgentError` when the file cannot be read, or when a newer agent wrote it; that file is left unchanged.
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
        throw AgentError.state(
          "\(path) was written by a newer muster-agent (format \(version), but this version knows formats up to \(Self.version))")
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
      return (journal, "\(path) cannot be decoded (\(why)); it was renamed to \(path).damaged, and the agent starts without a journal")
    }
  }

  private init(path: String) { self.path = path }

  /// The machine's time at the last commit.
  var at: Instant { content.at }
  var records: [(at: Instant, record: Participant.Record)] { content.records.records }

  /// Adds records, removes those that they supersede, and replaces the file.
  mutating func commit(_ records: [Participant.Record], at now: Instant, durable: Bool = false) throws(FileError) {
    content.at = now
    content.records.commit(records, at: now)
    try write(durable: durable)
  }

  /// Flushes the committed file to the disk. Blocks.
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
