import MusterSchema

@testable import MusterCoordination
@testable import MusterParticipation
@testable import MusterShell

extension TaskID { static let digits = TaskID(unchecked: "digits") }
extension NodeID {
  static let north = NodeID(unchecked: "north")
  static func pi(_ number: Int) -> NodeID { NodeID(unchecked: "pi-\(number)") }
}

let secret = Array("central's secret".utf8)
let model = ModelReference(digest: Digest(of: Array("model".utf8)), bytes: 10)

func specification(upload: UploadTarget = .central) -> TaskSpecification {
  TaskSpecification(
    name: "digits", model: ModelSpecification(type: "softmax"), regions: [.north], rounds: 3,
    cohort: CohortSpecification(size: 2, minimum: 2, seconds: 60), evaluate: EvaluationSpecification(devices: false), upload: upload)
}

func update(_ device: Int) -> ContributionRecord {
  ContributionRecord(
    path: NodePath(.north, .pi(device)), digest: Digest(of: Array("update \(device)".utf8)), weight: 10, bytes: 10, metrics: [:])
}

/// Central's machine with its desk: events go in, commands come out.
struct CentralBench {
  var machine = Coordinator(id: .central, configuration: CoordinatorConfiguration(data: "http://central:7400", declared: [.north]))
  var desk: CentralDesk
  var now = Instant.zero
  var commands: [CentralDesk.Command] = []

  init(faults: PlantedFaults = []) { desk = CentralDesk(secret: secret, faults: faults) }

  /// A task whose first round is open, with two devices invited through a region.
  static func inRound(faults: PlantedFaults = []) -> CentralBench {
    var bench = CentralBench(faults: faults)
    bench.tell(.accept(.digits, specification()), .initialized(.digits, model))
    bench.tell(.node(NodeState(node: .north, online: true, session: "1", nodeKind: .region)))
    bench.tell(.status(NodeStatus(node: .north, task: .digits, state: .ready, devices: 2, declined: 0)))
    return bench
  }

  /// Hands the machine all events in one batch. `commands` is the result.
  mutating func tell(_ events: Coordinator.Event...) {
    let effects = events.flatMap { machine.handle($0, at: now).effects }
    commands = effects.compactMap { desk.command(for: $0, of: machine) }
    commands += desk.due(of: machine, at: now)
  }

  mutating func deliver(_ devices: Int...) {
    for device in devices {
      tell(.contribution(.digits, round: 1, phase: .train, update(device), reply: Coordinator.Reply(UInt64(device))))
    }
  }

  var publications: [Publication] { commands.compactMap { if case .publish(let publication) = $0 { publication } else { nil } } }
  var pieces: [(key: WorkKey, item: CentralWorkItem)] {
    commands.compactMap { if case .work(let key, let item) = $0 { (key, item) } else { nil } }
  }
}

/// A region's machine with its desk.
struct RegionBench {
  var machine = RegionMachine(id: .north, above: .central, configuration: CoordinatorConfiguration(data: "http://north:7410"))
  var desk: RegionDesk
  var now = Instant.zero
  var commands: [RegionDesk.Command] = []

  static let upload = "http://central:7400/v1/tasks/digits/rounds/1/updates/north"

  init(storeIsNew: Bool = false, faults: PlantedFaults = []) {
    desk = RegionDesk(.north, above: .central, storeIsNew: storeIsNew, faults: faults)
  }

  /// A region with two devices that are ready.
  static func ready(_ target: UploadTarget = .central, storeIsNew: Bool = false, faults: PlantedFaults = []) -> RegionBench {
    var bench = RegionBench(storeIsNew: storeIsNew, faults: faults)
    bench.tell(.above(.connected), .above(.descriptor(descriptor(upload: target))))
    for device in 1...2 {
      let state = NodeState(
        node: .pi(device), online: true, session: "a", nodeKind: .device, capabilities: Capabilities(trainers: ["built-in"]))
      bench.tell(.below(.node(state)), .below(.status(NodeStatus(node: .pi(device), task: .digits, state: .ready, devices: 1))))
    }
    return bench
  }

  static func descriptor(revision: Int = 1, upload: UploadTarget = .central) -> TaskDescriptor {
    TaskDescriptor(
      task: .digits, specification: specification(upload: upload), revision: revision, state: .open, central: "http://central:7400")
  }

  static func order(round: Int = 1, attempt: Int = 1, grant: Grant? = Grant(secret: secret, task: .digits).child(.north)) -> Invitation {
    var order = Invitation(
      task: .digits, revision: 1, key: RoundKey(round: round, phase: .train, attempt: attempt), quota: 2, minimum: 2, base: model,
      upload: upload, seed: 5, secondsLeft: 600, startWithin: 0)
    order.grant = grant
    return order
  }

  mutating func tell(_ events: RegionMachine.Event...) { tell(events) }

  /// Hands the machine all events in one batch. `commands` is the result.
  mutating func tell(_ events: [RegionMachine.Event]) {
    let effects = events.flatMap { machine.handle($0, at: now).effects }
    commands = effects.compactMap { desk.command(for: $0, of: machine) }
    commands += desk.due(of: machine, at: now)
  }

  mutating func deliver(_ devices: Int..., round: Int = 1) {
    for device in devices {
      tell(.below(.contribution(.digits, round: round, phase: .train, update(device), reply: Coordinator.Reply(UInt64(device)))))
    }
  }

  mutating func wait(until milliseconds: Int64) {
    now = Instant(milliseconds: milliseconds)
    commands = desk.due(of: machine, at: now)
  }

  var below: [Publication] { commands.compactMap { if case .publish(let publication) = $0 { publication } else { nil } } }
  var above: [Publication] { commands.compactMap { if case .own(.publishAbove(let publication)) = $0 { publication } else { nil } } }
  var questions: [Question] { commands.compactMap { if case .own(.ask(let question)) = $0 { question } else { nil } } }
  var deliveries: [Delivery] { commands.compactMap { if case .own(.deliver(let delivery)) = $0 { delivery } else { nil } } }
  var pieces: [(key: WorkKey, item: RegionWorkItem)] {
    commands.compactMap { if case .work(let key, let item) = $0 { (key, item) } else { nil } }
  }
}

extension Publication {
  var descriptor: TaskDescriptor? { if case .descriptor(let descriptor) = content { descriptor } else { nil } }
  var invitation: Invitation? { if case .invitation(let invitation) = content { invitation } else { nil } }
  var round: RoundState? { if case .round(let state) = content { state } else { nil } }
  var status: NodeStatus? { if case .status(let status) = content { status } else { nil } }
}
