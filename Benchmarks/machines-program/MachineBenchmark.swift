import MusterCoordination
import MusterParticipation
import MusterSchema
import MusterShell

/// Measures what an event costs the machines, without network, disk or encoding: one task, one region, all of its devices in each round,
/// uploads to central. The events of a step are handed over one by one, in the order in which a fleet sends them.
///
///     machine-benchmark DEVICES [ROUNDS]
///
/// Prints a line per step: nanoseconds per event, in a machine alone, and through the shell's `Committer` with one event per batch.
@main
struct MachineBenchmark {
  static func main() {
    let numbers = CommandLine.arguments.dropFirst().map { Int($0) ?? 0 }
    let rounds = numbers.dropFirst().first ?? 3
    guard let devices = numbers.first, (1...100_000).contains(devices), (1...100).contains(rounds), numbers.count <= 2 else {
      print("usage: machine-benchmark DEVICES [ROUNDS]")
      return
    }
    var fleet = Fleet(devices: devices)
    fleet.prepare()
    for round in 1...rounds { fleet.run(round) }
    print("step\tevents\tmachine\tcommitter")
    for step in fleet.steps {
      let (machine, committer) = (step.machine / step.events, step.committer / step.events)
      print("\(step.name)\t\(step.events)\t\(machine)\t\(committer)")
    }
  }
}

/// The machines of central and a region, and the messages of the devices to them.
private struct Fleet {
  struct Step {
    var name: String
    var events = 0
    /// Nanoseconds of all events together, in the machine and in the committer.
    var machine = 0
    var committer = 0
  }

  private let devices: Int
  private var central: Pair<Coordinator>
  private var region: Pair<RegionMachine>
  private(set) var steps: [Step] = []
  private var milliseconds: Int64 = 0

  private static let task = TaskID(unchecked: "benchmark")
  private static let north = NodeID(unchecked: "north")
  private static let model = ModelReference(digest: Digest(of: Array("model".utf8)), bytes: 80_000)

  init(devices: Int) {
    self.devices = devices
    central = Pair(
      Coordinator(id: .central, configuration: CoordinatorConfiguration(data: "http://central:7400", declared: [Self.north])))
    var configuration = CoordinatorConfiguration(data: "http://north:7410")
    configuration.mostNodes = 200_000
    region = Pair(RegionMachine(id: Self.north, above: .central, configuration: configuration))
  }

  /// Pushes a task that waits for its devices, and lets the devices come online.
  mutating func prepare() {
    let specification = TaskSpecification(
      name: "benchmark", model: ModelSpecification(type: "lenet5"), regions: [Self.north], rounds: 100,
      cohort: CohortSpecification(size: devices, minimum: devices, seconds: 600), evaluate: EvaluationSpecification(devices: false))
    tell(central: .accept(Self.task, specification))
    tell(central: .initialized(Self.task, Self.model))
    tell(region: .above(.connected))
    guard let descriptor = central.machine.descriptors.first else { preconditionFailure("the task has a descriptor") }
    tell(region: .above(.descriptor(descriptor)))
    measure("region: a device's birth", nodes) { node in
      .below(
        .node(
          NodeState(
            node: node, online: true, session: "1", nodeKind: .device, capabilities: Capabilities(trainers: ["built-in"])), retained: false)
      )
    }
    measure("region: a device is ready", nodes) { .below(.status(NodeStatus(node: $0, task: Self.task, state: .ready, devices: 1))) }
    tell(central: .node(NodeState(node: Self.north, online: true, session: "1", nodeKind: .region)))
  }

  mutating func run(_ round: Int) {
    let ready = NodeStatus(node: Self.north, task: Self.task, state: .ready, devices: devices, declined: 0)
    // Every round but the first opens with the end of the previous one.
    let effects = measure(central: "central: a round opens", [round - 1]) { last in
      last == 0 ? .status(ready) : .evaluated(Self.task, round: last, metrics: ["accuracy": 0.5])
    }
    let invitations = effects.compactMap { if case .invite(_, let invitation) = $0 { invitation } else { nil } }
    guard var order = invitations.last else {
      preconditionFailure("round \(round) does not open: \(central.machine.explanation(Self.task)?.sentence ?? "")")
    }
    order.grant = Grant(secret: [1], task: Self.task).child(Self.north)
    // The region starts on its order without a random delay.
    order.startWithin = 0
    var invited = measure("region: an order, and the first are invited", [order]) { .above(.invitation($0)) }
    // Each answer makes room for another invitation.
    var answered = 0
    while answered < invited.count {
      let next = Array(invited[answered...])
      answered = invited.count
      invited += measure("region: a device accepts, and another is invited", next) { .below(.status(Self.status($0, .accepted, order))) }
    }
    precondition(invited.count == devices, "round \(round): \(invited.count) devices are invited")
    for (name, state) in [("trains", NodeStatus.State.training), ("uploads", .uploading), ("is done", .done)] {
      if state == .done { contribute(round) }
      measure("region: a device \(name)", nodes) { .below(.status(Self.status($0, state, order))) }
    }
    tell(central: .aggregated(Self.task, round: round, Self.model, refused: []))
    tell(region: .above(.delivered(Self.task, order.key)))
  }

  private static func status(_ node: NodeID, _ state: NodeStatus.State, _ order: Invitation) -> NodeStatus {
    NodeStatus(
      node: node, task: task, state: state, round: order.round, attempt: order.attempt, phase: .train, devices: 1)
  }

  private mutating func contribute(_ round: Int) {
    measure(central: "central: a contribution", Array(nodes.enumerated())) { index, node in
      let record = ContributionRecord(
        path: NodePath(Self.north, node), digest: Digest(of: Array("\(round)/\(node)".utf8)), weight: 10, bytes: 80_000,
        metrics: ["loss": 0.5])
      return .contribution(Self.task, round: round, phase: .train, record, reply: Coordinator.Reply(UInt64(index)))
    }
  }

  private var nodes: [NodeID] { (1...devices).map { NodeID(unchecked: "pi-\($0)") } }

  // MARK: -

  private mutating func tell(central event: Coordinator.Event) { _ = central.tell(event, at: later) }
  private mutating func tell(region event: RegionMachine.Event) { _ = region.tell(event, at: later) }

  /// All events of a step happen in the same millisecond, so that no time to answer runs out, however many devices there are.
  private var later: Instant {
    mutating get {
      milliseconds += 1
      return Instant(milliseconds: milliseconds)
    }
  }

  /// - Returns: the devices that were invited, in order.
  @discardableResult
  private mutating func measure<Item>(_ name: String, _ items: [Item], _ event: (Item) -> RegionMachine.Event) -> [NodeID] {
    var step = steps.first { $0.name == name } ?? Step(name: name)
    let now = later
    var invited: [NodeID] = []
    for item in items {
      let told = region.tell(event(item), at: now)
      step.add(told.cost)
      invited += told.effects.compactMap { if case .below(.invite(let node, _)) = $0 { node } else { nil } }
    }
    keep(step)
    return invited
  }

  @discardableResult
  private mutating func measure<Item>(
    central name: String, _ items: [Item], _ event: (Item) -> Coordinator.Event
  ) -> [Coordinator.Effect] {
    var step = steps.first { $0.name == name } ?? Step(name: name)
    let now = later
    var effects: [Coordinator.Effect] = []
    for item in items {
      let told = central.tell(event(item), at: now)
      step.add(told.cost)
      effects += told.effects
    }
    keep(step)
    return effects
  }

  private mutating func keep(_ step: Step) {
    if let index = steps.firstIndex(where: { $0.name == step.name }) { steps[index] = step } else { steps.append(step) }
  }
}

extension Fleet.Step {
  fileprivate mutating func add(_ cost: Cost) {
    events += 1
    machine += cost.machine
    committer += cost.committer
  }
}

/// Nanoseconds of one event.
private struct Cost {
  var machine: Int
  var committer: Int
}

/// The same machine twice: alone, and in a committer that stores at once. A reader holds the committed machine, as a server's routes do.
private struct Pair<M: Machine> {
  private(set) var machine: M
  private var committer: Committer<M, Never>

  init(_ machine: M) {
    self.machine = machine
    committer = Committer(machine)
  }

  mutating func tell(_ event: M.Event, at now: Instant) -> (cost: Cost, effects: [M.Effect]) {
    let clock = ContinuousClock()
    var effects: [M.Effect] = []
    let alone = clock.measure { effects = machine.handle(event, at: now).effects }
    let committed = clock.measure {
      var letters = [Letter<M.Event, Never>(event)]
      while true {
        let turn = committer.begin(at: now) { _ in
          defer { letters = [] }
          return letters
        }
        switch turn {
        case .idle: return
        case .store: _ = committer.stored()
        case .perform: break
        }
      }
    }
    return (Cost(machine: alone.nanoseconds, committer: committed.nanoseconds), effects)
  }
}

extension Duration {
  fileprivate var nanoseconds: Int { Int(components.seconds) * 1_000_000_000 + Int(components.attoseconds / 1_000_000_000) }
}
