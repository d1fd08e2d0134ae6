internal import CSpawn
internal import FoundationEssentials
internal import Glibc
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

  public init(name: String, command: [String], parameters: [String: Double] = [:], folder: String, timeout: Duration = .seconds(600)) {
    self.name = name
    self.command = command
    self.parameters = parameters
    self.folder = folder
    self.timeout = timeout
  }

  public var readsAhead: Bool { true }

  public func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner {
    let job = "\(folder)/\(name)-\(getpid())-\(String(UInt32.random(in: .min ... .max), radix: 16))"
    defer { removeFolder(job) }
    try write(cohort, to: job)
    try run(in: job)
    try takeRefusals(from: "\(job)/refused.json", &cohort)
    guard !cohort.updates.isEmpty else { throw .nothingAccepted(cohort.refused) }
    let weight = cohort.updates.reduce(0) { $0 + $1.weight }
    let contribution = Contribution(path: name, file: "\(job)/result.safetensors", weight: weight)
    switch Update.open(contribution, fitting: cohort.base.schema, reading: false) {
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
        if update.file.encoding == nil {
          try link("\(job)/\(file)", to: update.file.file.path)
        } else {
          try update.file.decode(to: "\(job)/\(file)", metadata: [Update.Content.metadataKey: update.content.rawValue])
        }
        description.updates.append(
          .init(path: update.path, file: file, weight: update.weight, content: update.content.rawValue, scale: update.scale))
      }
      try Data(try JSON.encode(description, pretty: true)).write(to: URL(filePath: "\(job)/job.json"))
    } catch {
      throw .external(rule: name, "its folder cannot be made: \(error)")
    }
  }

  private func link(_ path: String, to file: String) throws {
    let absolute = file.hasPrefix("/") ? file : "\(FileManager.default.currentDirectoryPath)/\(file)"
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: absolute)
  }

  private func takeRefusals(from path: String, _ cohort: inout Cohort) throws(AggregationError) {
    guard FileManager.default.fileExists(atPath: path) else { return }
    do {
      let refused = try JSON.decode([Refused].self, from: Array(Data(contentsOf: URL(filePath: path))))
      for update in refused { cohort.refuse(update.path, "refused by \(name): \(shown(update.reason))") }
    } catch {
      throw .external(rule: name, "its refused.json is not what it should be: \(JSON.explain(error))")
    }
  }

  private func removeFolder(_ job: String) {
    // Nothing refers to it any more: what stays is only space.
    do { try FileManager.default.removeItem(atPath: job) } catch {}
  }

  // MARK: - The program

  private func run(in job: String) throws(AggregationError) {
    let log = "\(job)/log"
    let output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    let input = open("/dev/null", O_RDONLY | O_CLOEXEC)
    defer { for descriptor in [output, input] where descriptor >= 0 { close(descriptor) } }
    guard output >= 0, input >= 0, let program = command.first else { throw .external(rule: name, "its command is empty, or has no log") }
    var arguments: [UnsafeMutablePointer<CChar>?] = (command + [job]).map { strdup($0) } + [nil]
    let environment = ProcessInfo.processInfo.environment.sorted { $0.key < $1.key }
    var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for text in arguments + variables { free(text) } }
    var pid: pid_t = 0
    let code = muster_spawn(&pid, program, &arguments, &variables, job, input, output, output)
    guard code == 0 else { throw .external(rule: name, "\(program) cannot be started: \(String(cString: strerror(code)))") }
    let status = wait(for: pid)
    // What it may have left behind.
    kill(-pid, SIGKILL)
    guard let status else { throw .external(rule: name, "it was not done within \(timeout)") }
    guard status == 0 else {
      let how = status & 0x7f == 0 ? "exit code \((status >> 8) & 0xff)" : "signal \(status & 0x7f)"
      throw .external(rule: name, "it ended with \(how)\(lastLine(of: log).map { ": \($0)" } ?? "")")
    }
  }

  /// - Returns: nil when it took too long, and was ended.
  private func wait(for pid: pid_t) -> Int32? {
    let deadline = ContinuousClock.now + timeout
    var (status, pause): (Int32, UInt32) = (0, 500)
    while true {
      let ended = waitpid(pid, &status, WNOHANG)
      if ended == pid { return status }
      if ended < 0 && errno != EINTR { return nil }
      if ContinuousClock.now > deadline {
        kill(-pid, SIGKILL)
        waitpid(pid, &status, 0)
        return nil
      }
      // waitpid knows no time-out, and aggregation blocks its thread anyway: it looks again, at most 50 ms late.
      usleep(pause)
      pause = min(50_000, pause * 2)
    }
  }

  private func lastLine(of log: String) -> String? {
    guard let data = FileManager.default.contents(atPath: log) else { return nil }
    return String(decoding: data.suffix(2000), as: UTF8.self).split(whereSeparator: \.isNewline).last.map { shown(String($0)) }
  }
}

/// What takes the place of a cohort's updates in the fold: a program's result.
struct StandIn: Sendable {
  let rule: String
  let update: Update
}
