import FoundationEssentials
import MusterSchema
import MusterTransfer
import TestSupport

/// A server's answer, with any status.
struct Answer: Sendable {
  var status: Int
  var body: [UInt8]
  /// The problem of an answer with a status of 400 or above.
  var problem: Problem?

  var text: String { String(decoding: body, as: UTF8.self) }
}

extension Fleet {
  var ops: String { "http://127.0.0.1:\(places.central.ops)" }
  var data: String { "http://127.0.0.1:\(places.central.data)" }
  func ops(of region: String) -> String { "http://127.0.0.1:\(places.regions[region]?.ops ?? 0)" }
  func data(of region: String) -> String { "http://127.0.0.1:\(places.regions[region]?.data ?? 0)" }

  /// Sends a request. An answer with any status is returned; only a missing answer is an error.
  func ask(
    _ method: String, _ url: String, _ body: [UInt8]? = nil, contentType: String = "application/json", headers: [(String, String)] = []
  ) async throws -> Answer {
    do {
      let response = try await http.send(method, url, body: body, contentType: body == nil ? nil : contentType, headers: headers)
      return Answer(status: response.status, body: response.body, problem: nil)
    } catch {
      guard let problem = error.problem else { throw error }
      return Answer(status: problem.status, body: Array(problem.detail.utf8), problem: problem)
    }
  }

  func ask(_ method: String, _ url: String, text: String) async throws -> Answer { try await ask(method, url, Array(text.utf8)) }

  // MARK: - Tasks

  /// A task that trains LeNet-5 on the digits and is small enough for a test.
  ///
  /// - Parameters:
  ///   - cohort: number of devices in a round.
  ///   - gated: whether the gated trainer is used.
  func task(
    rounds: Int = 3, cohort: Int? = nil, minimum: Int? = nil, epochs: Int = 2, gated: Bool = false, seconds: Double = 60,
    evaluate: EvaluationSpecification = EvaluationSpecification(every: 1, devices: false)
  ) throws -> TaskSpecification {
    let size = cohort ?? plan.devices
    return TaskSpecification(
      name: "digits", model: ModelSpecification(type: "lenet5", input: [1, 8, 8], classes: 10), trainer: gated ? "gated" : "built-in",
      regions: try plan.regions.map { try NodeID(validating: $0) }, rounds: rounds,
      cohort: CohortSpecification(size: size, minimum: minimum ?? size, seconds: seconds),
      local: LocalTraining(epochs: epochs, batch: 8, rate: 0.1),
      evaluate: evaluate)
  }

  /// Pushes a task to central, or to `address`.
  @discardableResult
  func push(_ task: String, _ specification: TaskSpecification, to address: String? = nil) async throws -> Answer {
    try await ask("PUT", "\(address ?? ops)/v1/tasks/\(task)", try JSON.encode(specification))
  }

  func detail(_ task: String) async throws -> TaskDetail { try await http.get(from: "\(ops)/v1/tasks/\(task)") }
  func why(_ task: String) async throws -> Explanation { try await http.get(from: "\(ops)/v1/tasks/\(task)/why") }

  /// Waits until a task satisfies a condition. Central may be unreachable in the meantime.
  ///
  /// - Throws: an error with the task's own explanation, if the time is over or the task has failed.
  @discardableResult
  func wait(
    for task: String, _ what: String, within timeout: Duration = .seconds(40), until condition: (TaskDetail) throws -> Bool
  ) async throws -> TaskDetail {
    var last: TaskDetail?
    var trouble = ""
    let isSo = try await eventually(within: timeout, every: .milliseconds(50)) {
      do {
        let detail = try await detail(task)
        last = detail
        return try condition(detail) || (detail.summary.step == .failed)
      } catch let error as TransferError {
        trouble = "\(error)"
        return false
      }
    }
    guard isSo, let last, try condition(last) else {
      throw TestSupportError("\(task) is not \(what): \(last.map { "\($0.summary.step.rawValue), \($0.summary.why)" } ?? trouble)")
    }
    return last
  }

  @discardableResult
  func waitForCompletion(_ task: String, within timeout: Duration = .seconds(40)) async throws -> TaskDetail {
    try await wait(for: task, "completed", within: timeout) { $0.summary.step == .completed }
  }

  /// Waits until central sees `count` devices online.
  func waitForDevices(_ count: Int, within timeout: Duration = .seconds(20)) async throws {
    var seen = "nobody"
    let isSo = try await eventually(within: timeout, every: .milliseconds(50)) {
      do {
        let nodes = try await http.get([NodeSummary].self, from: "\(ops)/v1/nodes").filter(\.state.online)
        seen = "\(nodes.map(\.path))"
        return nodes.count >= count
      } catch is TransferError {
        return false
      }
    }
    guard isSo else { throw TestSupportError("central sees \(seen), not \(count) devices") }
  }

  /// The updates that central has accepted in an open round.
  func accepted(_ task: String, round: Int) async throws -> [String] {
    let ledger: PhaseLedger = try await http.get(from: "\(data)/v1/tasks/\(task)/rounds/\(round)/updates")
    return ledger.accepted.map(\.description).sorted()
  }

  /// Waits until central has accepted the updates of these devices.
  func waitForUpdates(_ devices: [String], of task: String, round: Int) async throws {
    var accepted: [String] = []
    let isSo = try await eventually(within: .seconds(20), every: .milliseconds(50)) {
      accepted = try await self.accepted(task, round: round)
      return Set(devices).isSubset(of: accepted)
    }
    guard isSo else { throw TestSupportError("central has the updates of \(accepted), not of \(devices)") }
  }

  // MARK: - The command line

  /// Runs `muster` against this fleet's central.
  func muster(_ arguments: [String]) async throws -> (status: Int32, output: String) {
    let log = folder.file("muster-\(UInt32.random(in: .min ... .max))")
    let child = try ChildProcess(places.executable("muster"), arguments, log: log, environment: ["MUSTER_CENTRAL": ops])
    let status = try await child.wait(within: .seconds(20))
    return (status, child.log)
  }
}
