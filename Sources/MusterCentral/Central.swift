import MusterMQTT
import Logging
import MusterCoordination
import MusterRuntime
import MusterSchema
import MusterStorage
import MusterAggregation
import MusterDataPlane
import MusterTransfer

/// Central: the root coordinator's shell with what the ops API and the data plane ask of it.
final class Central: Sendable {
  let configuration: CentralConfiguration
  let shell: Shell<Coordinator>
  let performer: CentralPerformer
  let store: Store
  let link: BrokerLink
  let work: CentralWork
  let logger: Logger
  private let client: HTTPClient

  init(
    configuration: CentralConfiguration, shell: Shell<Coordinator>, performer: CentralPerformer, store: Store, link: BrokerLink,
    work: CentralWork, client: HTTPClient, logger: Logger
  ) {
    self.configuration = configuration
    self.shell = shell
    self.performer = performer
    self.store = store
    self.link = link
    self.work = work
    self.client = client
    self.logger = logger
  }

  var readiness: (isReady: Bool, summary: String) { (link.isConnected, "broker: \(link.summary)") }

  func info() -> ServerInfo {
    ServerInfo(
      coordinator: .central, version: Muster.version, broker: "mqtt://\(configuration.broker.host):\(configuration.broker.port)",
      data: configuration.data.advertise)
  }

  // MARK: - Tasks

  func summaries() async -> [TaskSummary] {
    let machine = await shell.machine
    return machine.tasks.keys.sorted().compactMap(machine.summary)
  }

  func summary(_ task: TaskID) async throws(Problem) -> TaskSummary {
    guard let summary = await shell.machine.summary(task) else { throw unknown(task) }
    return summary
  }

  func detail(_ task: TaskID) async throws(Problem) -> TaskDetail {
    let machine = await shell.machine
    guard let run = machine.tasks[task], let specification = run.specification, let summary = machine.summary(task),
      let now = machine.roundState(task)
    else { throw unknown(task) }
    return TaskDetail(
      summary: summary, revision: run.descriptor.revision, specification: specification, now: now, rounds: run.records, models: run.models)
  }

  func explanation(_ task: TaskID) async throws(Problem) -> Explanation {
    guard let explanation = await shell.machine.explanation(task) else { throw unknown(task) }
    return explanation
  }

  func push(_ task: TaskID, _ body: [UInt8]) async throws(Problem) -> (summary: TaskSummary, isNew: Bool) {
    let specification = try read(body)
    if let run = await shell.machine.tasks[task] {
      guard run.specification == specification else {
        throw Problem(
          status: 409, title: "The task id is taken", detail: "task \(task) exists with another content: push under another id")
      }
      return (try await summary(task), false)
    }
    let problems = problems(specification)
    guard problems.isEmpty else { throw refusal(problems) }
    try await deliver(.accept(task, specification))
    return (try await summary(task), true)
  }

  func act(_ action: String, on task: TaskID) async throws(Problem) -> TaskSummary {
    let machine = await shell.machine
    guard let run = machine.tasks[task] else { throw unknown(task) }
    guard !run.isEnded || action == "evaluate" else {
      throw Problem(
        status: 409, title: "The task has ended", detail: "task \(task) is \(machine.summary(task)?.step.rawValue ?? "over"): it takes no \(action)")
    }
    switch action {
    case "pause": try await deliver(.pause(task))
    case "resume": try await deliver(.resume(task))
    case "cancel": try await deliver(.cancel(task, reason: "cancelled by an operator"))
    case "evaluate":
      guard configuration.testData != nil else {
        throw Problem(status: 409, title: "Central cannot evaluate", detail: "its configuration names no testData")
      }
      shell.mailbox.offer(.evaluate(task))
    default:
      throw Problem(status: 404, title: "Unknown action", detail: "\(action.withoutControlCharacters) is none of pause, resume, cancel, evaluate")
    }
    return try await summary(task)
  }

  /// Hands an operator's wish to the machine and waits until it is durable.
  private func deliver(_ event: Coordinator.Event) async throws(Problem) {
    switch await shell.mailbox.submit(event) {
    case .committed: return
    case .busy: throw Problem(status: 503, title: "Central is busy", detail: "its mailbox is full: try again")
    case .failed(let error): throw Problem(status: error.isDiskFull ? 507 : 503, title: "Not stored", detail: "\(error)")
    }
  }

  // MARK: - Checks

  private func read(_ body: [UInt8]) throws(Problem) -> TaskSpecification {
    do {
      return try TaskSpecification(strictJSON: body)
    } catch {
      throw refusal(error.problems)
    }
  }

  /// What is wrong with a task, central's own knowledge included.
  func problems(_ specification: TaskSpecification) -> [FieldProblem] {
    var problems = specification.problems()
    for region in specification.regions where !configuration.regions.contains(region) {
      let known = configuration.regions.map(\.rawValue).joined(separator: ", ")
      problems.append(FieldProblem(field: "regions", message: "\(region) is not declared in central's configuration (it has: \(known))"))
    }
    if configuration.trainers[specification.trainer] == nil {
      let known = configuration.trainers.keys.sorted().joined(separator: ", ")
      problems.append(
        FieldProblem(field: "trainer", message: "central has no trainer \"\(specification.trainer)\" to initialize and evaluate with (it has: \(known))"))
    }
    do {
      _ = try Strategy(specification.strategy)
    } catch {
      problems.append(FieldProblem(field: "strategy", message: "\(error)"))
    }
    if specification.encoding != "float32" {
      problems.append(FieldProblem(field: "encoding", message: "\"\(specification.encoding)\" is not known; known: float32"))
    }
    if specification.upload != .central {
      problems.append(FieldProblem(field: "upload", message: "only \"central\" is supported"))
    }
    if case .blob(let digest) = specification.initial, store.path(of: digest) == nil {
      problems.append(FieldProblem(field: "initial.blob", message: "central holds no blob \(digest): upload it first with POST /v1/blobs"))
    }
    do {
      let descriptor = TaskDescriptor(
        task: TaskID(unchecked: String(repeating: "x", count: 63)), specification: specification, revision: 999_999, state: .cancelled,
        central: configuration.data.advertise, secondsLeft: 31_536_000)
      _ = try MessageCoder.encode(descriptor)
    } catch {
      problems.append(FieldProblem(field: "", message: "the task does not fit its descriptor: \(error)"))
    }
    return problems
  }

  func check(_ body: [UInt8]) async throws(Problem) -> TaskCheck {
    let specification = try read(body)
    let (nodes, unreachable) = await nodes()
    let descriptor = TaskDescriptor(
      task: TaskID(unchecked: "check"), specification: specification, revision: 1, state: .open, central: configuration.data.advertise)
    var check = TaskCheck(problems: problems(specification), matching: [], others: [], unreachable: unreachable)
    for node in nodes {
      guard let region = node.path.nodes.first, specification.regions.contains(region) else { continue }
      if !node.state.online {
        check.others.append(Waiting(node: node.path.description, reason: "is offline"))
      } else if let why = Admission.mismatch(descriptor, node.state) {
        check.others.append(Waiting(node: node.path.description, reason: why))
      } else {
        check.matching.append(node.path)
      }
    }
    return check
  }

  private func refusal(_ problems: [FieldProblem]) -> Problem {
    Problem(
      status: 422, title: "The task is refused", detail: problems.map(\.description).joined(separator: "; "), problems: problems)
  }

  private func unknown(_ task: TaskID) -> Problem {
    Problem(status: 404, title: "Unknown task", detail: "central has no task \(task): `muster task list` names those it has")
  }

  // MARK: - Regions and nodes

  func regions() async -> [RegionSummary] {
    let machine = await shell.machine
    let known = Set(machine.nodes.keys).union(configuration.regions)
    return known.sorted().map { region in
      RegionSummary(
        region: region, declared: configuration.regions.contains(region), online: machine.nodes[region]?.online ?? false,
        data: machine.nodes[region]?.data, tasks: machine.openStatuses(of: region))
    }
  }

  /// Asks every region for its devices: central itself knows only regions.
  func nodes() async -> (nodes: [NodeSummary], unreachable: [Waiting]) {
    let regions = await regions().filter(\.declared)
    var found: [NodeSummary] = []
    var unreachable: [Waiting] = []
    await withTaskGroup(of: (NodeID, Result<[NodeSummary], TransferError>).self) { group in
      for region in regions {
        guard region.online, let data = region.data else {
          unreachable.append(Waiting(node: region.region.rawValue, reason: "the region is offline"))
          continue
        }
        group.addTask { [client] in (region.region, await Self.devices(at: data, client)) }
      }
      for await (region, result) in group {
        switch result {
        case .success(let nodes): found += nodes
        case .failure(let error): unreachable.append(Waiting(node: region.rawValue, reason: "\(error)"))
        }
      }
    }
    return (found.sorted { $0.path < $1.path }, unreachable.sorted { $0.node < $1.node })
  }

  private static func devices(at data: String, _ client: HTTPClient) async -> Result<[NodeSummary], TransferError> {
    do throws(TransferError) {
      return .success(try await client.get([NodeSummary].self, from: "\(data)/v1/nodes"))
    } catch {
      return .failure(error)
    }
  }

  /// Prometheus text.
  func metrics() async -> String {
    let machine = await shell.machine
    let runs = machine.tasks.values
    let rounds = runs.reduce(0) { $0 + $1.records.count }
    let open = runs.count { !$0.isEnded }
    let online = machine.nodes.values.count(where: \.online)
    return """
      # TYPE muster_rounds_completed_total counter
      muster_rounds_completed_total \(rounds)
      # TYPE muster_tasks_open gauge
      muster_tasks_open \(open)
      # TYPE muster_regions_online gauge
      muster_regions_online \(online)

      """
  }
}

extension Central {
  /// Every task that regions may ask for, the ended ones of the last day included.
  func descriptors() async -> [TaskDescriptor] { await shell.machine.descriptors }
}
