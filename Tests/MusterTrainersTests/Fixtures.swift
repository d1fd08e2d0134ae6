import FoundationEssentials
import Logging
import MusterSchema
import MusterTensors
import MusterTrainers
import Synchronization
import Testing

let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Calls `body` with a folder that is removed afterwards.
func withTemporaryFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
  let folder = FileManager.default.temporaryDirectory.path + "/muster-trainers-\(UInt64.random(in: 0...(.max)))"
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  return try await body(folder)
}

/// Calls `body` with a runner that is shut down afterwards.
///
/// - Parameter confined: whether the trainer has the limits of the program, as in an agent. That uses the built `muster-agent`, beside the
///   test's own executable.
func withRunner<Result>(
  _ program: TrainerProgram, confined: Bool = false, _ body: (TrainerRunner) async throws -> Result
) async throws -> Result {
  let runner = TrainerRunner(program, launcher: confined ? ["muster-agent", "exec-trainer"] : [], logger: logger)
  do {
    let result = try await body(runner)
    await runner.shutdown()
    return result
  } catch {
    await runner.shutdown()
    throw error
  }
}

/// A shell script as a trainer: `$1` is the job folder.
func script(_ text: String, in folder: String) throws -> [String] {
  let path = "\(folder)/trainer-\(UInt32.random(in: 0...(.max))).sh"
  try Data(text.utf8).write(to: URL(filePath: path))
  return ["/bin/sh", path]
}

/// A shell script as a resident trainer: runs `text` for each line of standard input, with the folder in `$job`, and answers it.
func residentScript(_ text: String, in folder: String) throws -> [String] {
  let loop = """
    while read -r line; do
      job="${line#*:\\"}"; job="${job%\\"*}"
      \(text)
      echo "{\\"done\\":\\"$job\\",\\"exit\\":0}"
    done
    """
  return try script(loop, in: folder)
}

func text(_ path: String) -> String { FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? "" }

/// Whether the process exists and is not a zombie.
func isAlive(_ pid: Int) -> Bool {
  let status = text("/proc/\(pid)/stat")
  guard let state = status.split(separator: ")").last?.split(separator: " ").first else { return false }
  return state != "Z"
}

/// Waits until the condition holds. Returns `false` if it does not within the limit.
func eventually(within limit: Duration = .seconds(20), _ condition: () -> Bool) async throws -> Bool {
  let end = ContinuousClock.now + limit
  while !condition() {
    if ContinuousClock.now > end { return false }
    try await Task.sleep(for: .milliseconds(5))
  }
  return true
}

func failure(_ body: @Sendable () async throws -> Void) async -> TrainerError? {
  do {
    try await body()
    return nil
  } catch {
    return error as? TrainerError
  }
}

/// Runs `body` in another task, cancels it once `ready` holds, and returns its error.
func cancelling(when ready: () -> Bool, _ body: @escaping @Sendable () async throws -> Void) async throws -> TrainerError? {
  try await withThrowingTaskGroup(of: TrainerError?.self) { group in
    group.addTask { await failure(body) }
    let isReady = try await eventually(ready)
    group.cancelAll()
    let error = try await group.next() ?? nil
    try #require(isReady)
    return error
  }
}

enum Jobs {
  static let digits = "\(#filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" })/examples/digits/data"
  static let task = TaskID(unchecked: "digits")
  static let leNet = ModelSpecification(type: "lenet5", input: [1, 8, 8], classes: 10)

  static func data(_ part: String, partition: JSONValue? = nil) -> JSONValue {
    var fields: [String: JSONValue] = [
      "format": .string("idx"), "images": .string("\(digits)/\(part)-images-idx3-ubyte.gz"),
      "labels": .string("\(digits)/\(part)-labels-idx1-ubyte.gz"),
    ]
    fields["partition"] = partition
    return .object(fields)
  }

  static func job(
    _ kind: TrainerJobDescription.Kind, local: LocalTraining = LocalTraining(epochs: 1, batch: 8, rate: 0.1), seed: UInt64 = 1,
    data: JSONValue? = nil
  ) -> TrainerJobDescription {
    TrainerJobDescription(kind, task: task, round: 1, model: leNet, local: local, seed: seed, data: data)
  }

  /// A prepared folder for a job of a script that does not read the job.
  static func folder(_ kind: TrainerJobDescription.Kind, in folder: String, _ name: String = "job") throws -> JobFolder {
    let job = JobFolder("\(folder)/\(name)")
    let model = "\(folder)/model.safetensors"
    try SafetensorsWriter.write([Tensor(name: "w", shape: [2], floats: [1, 2])], to: model)
    try job.prepare(Self.job(kind), global: kind == .initialize ? nil : model)
    return job
  }
}

/// A flag that one thread sets and another reads.
final class Seen: Sendable {
  private let mark = Mutex(false)
  var isSet: Bool { mark.withLock { $0 } }
  func set() { mark.withLock { $0 = true } }
}
