internal import CSpawn
internal import FoundationEssentials
internal import Glibc
import MusterGround
internal import MusterSchema
internal import MusterTensors

/// A combiner that is somebody's program: it gets a folder of updates and writes what they come to. The contract stands in
/// `docs/aggregation.md`.
///
/// Who may name a program decides what runs on the machine: take commands from the operator's configuration, never from a task.
public struct ExternalRule: Combiner {
  /// Under which name it is known.
  public let name: String
  /// The program and its first arguments; the folder is the last one. A bare name is looked for in PATH.
  public let command: [String]
  /// Handed to the program.
  public let parameters: [String: Double]
  /// Where the folders for the program are made.
  public let folder: String
  /// How long it may take.
  public let timeout: Duration
  /// What else it may use.
  public let confinement: Confinement

  /// What the program gets of its caller's process, and what it may use. Nothing of the caller's environment is handed on by itself: a server's
  /// holds passwords.
  public struct Confinement: Hashable, Sendable {
    /// A program and arguments that stand before the command: it sets the kernel's limits on itself and becomes the command, as
    /// `muster-central exec-trainer … --` does. Empty: no such limits.
    public var launcher: [String]
    /// Added to the minimal environment (PATH, HOME, LANG).
    public var environment: [String: String]
    /// What it may print, MiB.
    public var outputMiB: Int
    /// What its folder may take up, MiB. nil: no limit.
    public var diskMiB: Int?
    /// Free space that must stay on the folder's file system, MiB.
    public var freeMiB: Int

    public init(
      launcher: [String] = [], environment: [String: String] = [:], outputMiB: Int = 64, diskMiB: Int? = nil, freeMiB: Int = 1
    ) {
      self.launcher = launcher
      self.environment = environment
      self.outputMiB = outputMiB
      self.diskMiB = diskMiB
      self.freeMiB = freeMiB
    }
  }

  public init(
    name: String, command: [String], parameters: [String: Double] = [:], folder: String, timeout: Duration = .seconds(600),
    confinement: Confinement = Confinement()
  ) {
    self.name = name
    self.command = command
    self.parameters = parameters
    self.folder = folder
    self.timeout = timeout
    self.confinement = confinement
  }

  public var readsAhead: Bool { true }

  public func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner {
    let job = "\(folder)/\(name)-\(getpid())-\(String(UInt32.random(in: .min ... .max), radix: 16))"
    let taken = "\(job).taken"
    // Nothing refers to them afterwards: a folder that stays costs only space.
    defer { for path in [job, taken] { _ = muster_remove(path) } }
    try write(cohort, to: job)
    try ConfinedProgram(rule: self, folder: job).run()
    try takeRefusals(from: "\(job)/refused.json", &cohort)
    guard !cohort.updates.isEmpty else { throw .nothingAccepted(cohort.refused) }
    let weight = cohort.updates.reduce(0) { $0 + $1.weight }
    // A process that the program left behind could truncate the result while it is mapped.
    try takeOut("\(job)/result.safetensors", to: taken)
    let contribution = Contribution(path: name, file: taken, weight: weight)
    switch try Update.open(contribution, fitting: cohort.base.schema, reading: false) {
    case .failure(let reason): throw .external(rule: name, "its result.safetensors cannot be used: \(reason.text)")
    case .success(let update):
      if let tensor = update.file.nonFiniteTensor() {
        throw .external(rule: name, "its result holds an infinity or a NaN in \(shown(tensor))")
      }
      if let missing = cohort.tensors.first(where: { update.file.tensor(named: $0.name) == nil }) {
        throw .external(rule: name, "its result misses tensor \(shown(missing.name))")
      }
      cohort.standIn = StandIn(rule: name, update: update.showing(cohort.tensors))
    }
    return WeightedSum(shares: [1])
  }

  // MARK: - The folder

  private struct Job: Encodable {
    struct Member: Encodable {
      var path: String
      var file: String
      var weight: Double
      var content: String
      /// What a filter shrinks its difference by.
      var scale: Double
    }

    var version = 1
    var rule: String
    var parameters: [String: Double]
    var base = "base.safetensors"
    var tensors: [String]
    /// Those of `tensors` that are state and not parameters.
    var buffers: [String]
    var updates: [Member]
    var result = "result.safetensors"
  }

  private struct Refused: Decodable {
    var path: String
    var reason: String
  }

  private func write(_ cohort: Cohort, to job: String) throws(AggregationError) {
    var description = Job(rule: name, parameters: parameters, tensors: cohort.tensors.map(\.name), buffers: [], updates: [])
    description.buffers = description.tensors.filter(cohort.buffers.contains)
    do {
      try FileManager.default.createDirectory(atPath: "\(job)/updates", withIntermediateDirectories: true)
      try link("\(job)/base.safetensors", to: cohort.base.path)
      for (number, update) in cohort.updates.enumerated() {
        let digits = String(number)
        let file = "updates/\(String(repeating: "0", count: max(0, 6 - digits.count)))\(digits).safetensors"
        if update.file.encoding == nil, update.file.file.range != nil {
          try update.file.file.withFile { bytes in try Data(bytes).write(to: URL(filePath: "\(job)/\(file)")) }
        } else if update.file.encoding == nil {
          try link("\(job)/\(file)", to: update.file.file.path)
        } else {
          try update.file.decode(to: "\(job)/\(file)", metadata: [Update.Content.metadataKey: update.content.rawValue])
        }
        description.updates.append(
          .init(path: update.path, file: file, weight: update.weight, content: update.content.rawValue, scale: update.scale))
      }
      try Data(try JSON.encode(description, pretty: true)).write(to: URL(filePath: "\(job)/job.json"))
    } catch {
      let isPassing = (error as? any PassingTrouble)?.isPassing ?? ((error as? CocoaError)?.code == .fileWriteOutOfSpace)
      throw .external(rule: name, "its folder cannot be made: \(systemReason(error))", passing: isPassing)
    }
  }

  private func link(_ path: String, to file: String) throws {
    let absolute = file.hasPrefix("/") ? file : "\(FileManager.default.currentDirectoryPath)/\(file)"
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: absolute)
  }

  private func takeRefusals(from path: String, _ cohort: inout Cohort) throws(AggregationError) {
    guard let file = try openResult(path) else { return }
    defer { close(file) }
    let bytes = try readResult(file, atMost: 64 << 20)
    do {
      let refused = try JSON.decode([Refused].self, from: bytes)
      for update in refused { cohort.refuse(update.path, "refused by \(name): \(shown(update.reason))") }
    } catch {
      throw .external(rule: name, "its refused.json is not what it should be: \(JSON.explain(error, in: bytes))")
    }
  }

  private func takeOut(_ path: String, to copy: String) throws(AggregationError) {
    guard let from = try openResult(path) else { throw .external(rule: name, "its result.safetensors cannot be used: there is none") }
    defer { close(from) }
    let to = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard to >= 0 else { throw uncopied(errno) }
    defer { close(to) }
    var status = stat()
    let code = fstat(from, &status) == 0 ? muster_copy(from, to, UInt64(clamping: status.st_size)) : errno
    guard code == 0 else { throw uncopied(code) }
  }

  private func uncopied(_ code: Int32) -> AggregationError {
    .external(rule: name, "its result cannot be copied: \(String(cString: strerror(code)))", passing: SystemTrouble.isPassing(code))
  }

  /// - Returns: nil when there is no such file. A link or a pipe is refused: the first leads elsewhere, the second would be waited for.
  private func openResult(_ path: String) throws(AggregationError) -> Int32? {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    if file < 0, errno == ENOENT { return nil }
    var status = stat()
    guard file >= 0, fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      if file >= 0 { close(file) }
      throw .external(rule: name, "its \(path.split(separator: "/").last ?? "result") is not an ordinary file")
    }
    return file
  }

  private func readResult(_ file: Int32, atMost limit: Int) throws(AggregationError) -> [UInt8] {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(file, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .external(rule: name, "its refused.json cannot be read: \(String(cString: strerror(errno)))") }
      if count == 0 { return bytes }
      bytes += piece[..<count]
      guard bytes.count <= limit else { throw .external(rule: name, "its refused.json is larger than \(limit >> 20) MiB") }
    }
  }
}

/// What takes the place of a cohort's updates in the fold: a program's result.
struct StandIn: Sendable {
  let rule: String
  let update: Update
}
