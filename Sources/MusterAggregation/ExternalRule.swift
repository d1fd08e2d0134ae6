internal import CSpawn
internal import FoundationEssentials
internal import Glibc
import MusterGround
internal import MusterSchema
internal import MusterTensors

/// A combiner that runs an external program: the program gets a folder of updates and writes the combined result. `docs/aggregation.md`
/// describes the contract.
///
/// The command runs on this machine with this process's rights: take it from the operator's configuration, never from a task.
public struct ExternalRule: Combiner {
  /// The name of the rule in a task's strategy.
  public let name: String
  /// The program and its first arguments; the job's folder is appended. A name without a slash is looked up in PATH.
  public let command: [String]
  /// Parameters from the task, handed to the program.
  public let parameters: [String: Double]
  /// The folder in which the job folders are made.
  public let folder: String
  /// How long the program may run.
  public let timeout: Duration
  /// Limits and environment of the program.
  public let confinement: Confinement

  /// Limits and environment of an external program. Only PATH, HOME and LANG are inherited: a server's environment may hold passwords.
  public struct Confinement: Hashable, Sendable {
    /// A program and arguments that precede the command: it sets the kernel's limits on itself and then executes the command, as
    /// `muster-central exec-trainer … --` does. Empty means no such limits.
    public var launcher: [String]
    /// Variables added to PATH, HOME and LANG; they take precedence.
    public var environment: [String: String]
    /// Maximum size of the program's output, in MiB.
    public var outputMiB: Int
    /// Maximum size of the job's folder, in MiB; `nil` for no limit.
    public var diskMiB: Int?
    /// Free space, in MiB, that must remain on the folder's file system; 0 turns the check off.
    public var freeMiB: Int

    /// Limits and environment; see the properties.
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

  /// Describes a rule; see the properties.
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
    // Nothing refers to these folders afterwards: one that cannot be removed only takes up space.
    defer { for path in [job, taken] { _ = muster_remove(path) } }
    try write(cohort, to: job)
    try ConfinedProgram(rule: self, folder: job).run()
    try takeRefusals(from: "\(job)/refused.json", &cohort)
    guard !cohort.updates.isEmpty else { throw .nothingAccepted(cohort.refused) }
    let weight = cohort.updates.reduce(0) { $0 + $1.weight }
    // The result is copied first: a process that the program left behind could truncate the file while it is mapped.
    try takeOut("\(job)/result.safetensors", to: taken)
    let stored = StoredUpdate(path: name, file: taken, weight: weight)
    switch try Update.open(stored, fitting: cohort.base.schema, reading: false) {
    case .failure(let reason): throw .external(rule: name, "its result.safetensors cannot be used: \(reason.text)")
    case .success(let update):
      if let tensor = update.file.nonFiniteTensor() {
        throw .external(rule: name, "its result holds an infinity or a NaN in \(shown(tensor))")
      }
      if let missing = cohort.tensors.first(where: { update.file.tensor(named: $0.name) == nil }) {
        throw .external(rule: name, "its result lacks tensor \(shown(missing.name))")
      }
      cohort.standIn = StandIn(rule: name, update: update.showing(cohort.tensors))
    }
    return WeightedSum(shares: [1])
  }

  // MARK: - The job folder

  private struct Job: Encodable {
    struct Member: Encodable {
      var path: String
      var file: String
      var weight: Double
      var content: String
      /// The factor by which filters scale the update's difference.
      var scale: Double
    }

    var version = 1
    var rule: String
    var parameters: [String: Double]
    var base = "base.safetensors"
    var tensors: [String]
    /// The names among `tensors` that are buffers: state rather than parameters.
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
      throw .external(rule: name, "its job folder cannot be created: \(systemReason(error))", passing: isPassing)
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
      throw .external(rule: name, "its refused.json is not valid: \(JSON.explain(error, in: bytes))")
    }
  }

  private func takeOut(_ path: String, to copy: String) throws(AggregationError) {
    guard let from = try openResult(path) else { throw .external(rule: name, "it wrote no result.safetensors") }
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

  /// - Returns: `nil` if there is no such file. Links and pipes are refused: a link leads elsewhere, and a pipe would block.
  private func openResult(_ path: String) throws(AggregationError) -> Int32? {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    if file < 0, errno == ENOENT { return nil }
    var status = stat()
    guard file >= 0, fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      if file >= 0 { close(file) }
      throw .external(rule: name, "its \(path.split(separator: "/").last ?? "result") is not a regular file")
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

/// The result of an external rule, which replaces a cohort's updates in the fold.
struct StandIn: Sendable {
  let rule: String
  let update: Update
}
