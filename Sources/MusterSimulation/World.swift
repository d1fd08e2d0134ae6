internal import MusterCoordination
internal import MusterParticipation
package import MusterSchema
internal import MusterShell

/// The processes of a world, and how long things take in it.
package struct WorldPlan: Sendable {
  /// The number of devices in each region. The regions are called north, south, east, west.
  package var devices: [Int]
  /// Whether each region has its own broker for its devices.
  package var ownBrokers = false
  /// The number of devices that have a second device with the same id.
  package var twins = 0
  /// This and the other times are in milliseconds.
  var keepAlive: Int64 = 10_000
  var devicePatience: Int64 = 30_000
  var probe: Int64 = 10_000
  var workTime: ClosedRange<Int64> = 20...120
  var transferTime: ClosedRange<Int64> = 2...10
  var evaluationFails = 0.0
  /// Replaces `workTime` while there are faults; `nil` keeps it.
  var slowWorkTime: ClosedRange<Int64>?
  /// Whether every message is encoded and decoded.
  package var codes = false
  var bugs: Set<PlantedBug> = []
  /// The planted bugs that are in the machines and the shell's values.
  var faults: PlantedFaults { bugs.reduce(into: []) { $0.formUnion($1.faults) } }

  package init(devices: [Int] = [3, 3]) { self.devices = devices }

  static let regionNames = ["north", "south", "east", "west"].map { NodeID(unchecked: $0) }
}

/// Central, regions, devices and brokers in one process, on a virtual clock. The machines and the values of the
/// shell are the real ones; everything around them is simulated.
///
/// Only the code that made a world uses it. Everything that happens in it follows from the plan, the seed and what is done to it.
package final class World {
  package let plan: WorldPlan
  package private(set) var time: Int64 = 0
  var queue = EventQueue()
  var random: Generator
  var network: NetworkConditions
  var directory = Directory()
  package internal(set) var trace = Trace()
  /// Whether the trace is also kept as text.
  package var keepsTrace: Bool {
    get { trace.keepsLines }
    set { trace.keepsLines = newValue }
  }
  package private(set) lazy var central = CentralProcess(self, site: 0, broker: brokers[0], regions: regionNames)
  package private(set) var regions: [RegionProcess] = []
  package private(set) var devices: [DeviceProcess] = []
  let brokers: [Broker]
  /// Another central, which exists for some seconds.
  var secondCentral: SecondCentral?
  private(set) lazy var auditor = Auditor(self)
  private let regionNames: [NodeID]

  /// Whether messages may be subject to faults.
  var isFaulty = false
  /// A test's decision about the n-th message.
  package var messageFault: ((Int, Topic) -> Loss?)? { didSet { isFaulty = true } }
  var faultedMessages = 0
  /// Called after each commit of a server, when its machine is the one that was committed.
  package var afterCommit: ((NodeID) -> Void)?
  /// Called at the first violation.
  package var whenViolated: ((Violation) -> Void)?
  /// Milliseconds after which a server that a test killed is restarted; `nil` does not restart it.
  package var restartsAfter: Int64? = 1500
  var restartsDevices = false
  /// The metrics that central's evaluation of a round reports.
  package var metrics: (Int) -> [String: Double] = { ["accuracy": 0.5 + Double($0) / 100] }
  package var refusesUpdates: (NodePath) -> String? = { _ in nil }
  /// Number of updates that central's rule needs after refusals; never more than the task's minimum.
  package var fewestUpdates = 1
  /// Which records no disk can store, by task and kind; `nil` if all can be stored.
  package var unstorable: ((TaskID, String) -> Bool)?
  /// Contributions that were answered with "stored".
  package internal(set) var promised: [(ledger: NodeID, task: TaskID, round: Int, phase: Phase, contribution: ContributionRecord)] = []

  /// The key from which central's tickets derive.
  let secret = Array("the secret key of a simulated one".utf8)
  /// Regions that have lost their disk.
  var lostDisks: Set<NodeID> = []

  private var clientIDs = 0
  private var sessions: UInt64 = 0

  package init(_ plan: WorldPlan = WorldPlan(), seed: UInt64 = 0) {
    self.plan = plan
    random = Generator(seed: seed)
    let count = plan.devices.count
    let names = Array(WorldPlan.regionNames.prefix(count))
    regionNames = names
    // Sites: central, the regions, the brokers, the devices.
    let brokerCount = plan.ownBrokers ? count + 1 : 1
    brokers = (0..<brokerCount).map { Broker(name: $0 == 0 ? "broker" : "broker-\(names[$0 - 1])", site: 1 + count + $0) }
    network = NetworkConditions(sites: 1 + count + brokerCount + plan.devices.reduce(0, +) + plan.twins)
    _ = directory.number(NodeID.central)
    for name in names { _ = directory.number(name) }
    _ = central
    var site = 1 + count + brokerCount
    var number = 0
    for (index, name) in names.enumerated() {
      let below = plan.ownBrokers ? brokers[index + 1] : brokers[0]
      regions.append(RegionProcess(self, id: name, site: 1 + index, above: brokers[0], below: below))
      for _ in 0..<plan.devices[index] {
        number += 1
        devices.append(DeviceProcess(self, id: NodeID(unchecked: "pi-\(number)"), region: name, site: site, broker: below))
        site += 1
      }
    }
    for index in 0..<min(plan.twins, devices.count) {
      let first = devices[index]
      devices.append(
        DeviceProcess(self, id: first.id, region: first.region, site: site, broker: first.client.broker, twin: true))
      site += 1
    }
  }

  /// How long a piece of long work takes now.
  var workTime: ClosedRange<Int64> { isFaulty ? plan.slowWorkTime ?? plan.workTime : plan.workTime }

  func plants(_ bug: PlantedBug) -> Bool { !plan.bugs.isEmpty && plan.bugs.contains(bug) }

  func newClientID() -> Int {
    clientIDs += 1
    return clientIDs
  }

  func newSession() -> String {
    sessions += 1
    return "s\(sessions)"
  }

  package func region(_ id: NodeID) -> RegionProcess? { regions.first { $0.id == id } }

  // MARK: Time

  func at(_ moment: Int64, _ action: @escaping (World) -> Void) { queue.add(.action(action), at: max(moment, time)) }
  package func after(_ milliseconds: Int64, _ action: @escaping (World) -> Void) { at(time + max(0, milliseconds), action) }

  func lag(_ one: Int, _ other: Int) -> Int64 { network.lag(one, other, &random) }

  /// Runs until the condition holds. Returns false if the time is up before, or a violation was found.
  @discardableResult
  package func run(seconds: Double, until condition: (World) -> Bool = { _ in false }) -> Bool {
    let end = time + Int64(seconds * 1000)
    while !condition(self) {
      guard auditor.violation == nil else { return false }
      guard let next = queue.nextTime, next <= end, let (moment, event) = queue.popFirst() else {
        time = max(time, end)
        return condition(self)
      }
      if moment > time {
        time = moment
        auditor.timePassed()
      }
      steps += 1
      switch event {
      case .arrival(let connection, let packet): arrived(packet, on: connection)
      case .delivery(let connection, let packet, let retained): delivered(packet, retained: retained, on: connection)
      case .action(let action): action(self)
      }
    }
    return true
  }

  /// The number of events that have happened.
  package private(set) var steps = 0

  /// Drops all future events.
  package func end() { queue.removeAll() }

  /// The first violation.
  package var violation: Violation? { auditor.violation }

  // MARK: Deaths and restarts

  func died(_ process: AnyObject) {
    guard let restartsAfter, !(process is DeviceProcess) || restartsDevices else { return }
    after(restartsAfter) { _ in
      if let central = process as? CentralProcess, !central.isUp { central.start() }
      if let region = process as? RegionProcess, !region.isUp { region.start() }
      if let device = process as? DeviceProcess, !device.isUp { device.start() }
    }
  }

  // MARK: Messages

  func key(_ topic: Topic) -> TopicKey { directory.key(topic) }

  /// The event that a coordinator makes of a message on its topics, as `CoordinatorTopics` does.
  func coordinatorEvent(_ packet: Packet, retained: Bool) -> Coordinator.Event? {
    switch packet.payload {
    case .node(let state):
      guard state.node == directory.nodes[packet.key.node] else { return nil }
      return .node(state, retained: retained)
    case .status(let status):
      guard status.node == directory.nodes[packet.key.node], status.task == directory.tasks[packet.key.task] else { return nil }
      return .status(status, retained: retained)
    default: return nil
    }
  }

  /// The message on a task's own topic, as `CoordinatorTopics` reads it; `nil` on any other topic.
  func descriptor(_ packet: Packet, retained: Bool) -> (task: TaskID, found: FoundDescriptor)? {
    guard packet.key.kind == .task else { return nil }
    let content: FoundDescriptor.Content =
      switch packet.payload {
      case .descriptor(let descriptor): .descriptor(descriptor)
      case .cleared: .nothing
      default: .unreadable
      }
    return (directory.tasks[packet.key.task], FoundDescriptor(content, retained: retained))
  }

  func packet(_ publication: Publication) -> Packet {
    let payload: Payload =
      switch publication.content {
      case .descriptor(let message): .descriptor(message)
      case .invitation(let message): .invitation(message)
      case .round(let message): .round(message)
      case .status(let message): .status(message)
      case .nothing: .cleared
      }
    return Packet(key(publication.topic), payload, retained: publication.isRetained, lasting: publication.isLasting)
  }

  /// Publishes a server's message. A `RoundState` is only encoded, which checks its size: no simulated process subscribes to it.
  func publish(_ publication: Publication, by server: NodeID, _ client: Client) {
    auditor.publishes(publication, by: server)
    let packet = packet(publication)
    if case .round = publication.content {
      _ = coded(packet)
    } else {
      client.publish(packet, onlyNow: true, in: self)
    }
  }

  func coded(_ packet: Packet) -> Packet {
    guard plan.codes else { return packet }
    do {
      guard let (bytes, payload) = try packet.payload.coded() else { return packet }
      trace.fold(bytes)
      if case .round = payload { return packet }
      if payload != packet.payload { auditor.fails("a message on \(directory.topic(packet.key)) changed by encoding and decoding it") }
      return Packet(packet.key, payload, retained: packet.isRetained, lasting: packet.isLasting)
    } catch {
      // A liar's numbers are out of range: a program that reads such a message drops it.
      if devices.contains(where: { $0.lie != nil && directory.nodes[packet.key.node] == $0.id }), error is MessageError {
        return Packet(packet.key, .garbage, retained: packet.isRetained, lasting: packet.isLasting)
      }
      auditor.fails("a message on \(directory.topic(packet.key)) cannot be encoded or decoded: \(error)")
      return packet
    }
  }

  func describe(_ payload: Payload) -> String {
    switch payload {
    case .coordinator(let message): text(message)
    case .descriptor(let message): "revision \(message.revision) \(message.state.rawValue)"
    case .round(let message): message.why
    case .node(let message): "\(message.online ? "online" : "offline") \(message.session)"
    case .status(let message): text(message)
    case .invitation(let message):
      "round \(message.round) \(message.phase.rawValue) attempt \(message.attempt) quota \(message.quota) \(Int(message.secondsLeft)) s left"
    case .cleared: "(cleared)"
    case .garbage: "(garbage)"
    }
  }

  // MARK: Digests

  /// Not SHA-256: a world only needs different digests for different strings, the same in every process.
  package func digest(_ text: String) -> Digest {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    let digits = String(Generator.mix(hash), radix: 16)
    return Digest(String(repeating: "0", count: 64 - digits.utf8.count) + digits) ?? Digest(of: Array(text.utf8))
  }

  /// The digest of the model that these contributions give.
  func modelDigest(_ task: TaskID, _ round: Int, _ contributions: [ContributionRecord]) -> Digest {
    digest("\(task)/\(round)/\(contributions.map { "\($0.path)=\($0.digest.hexadecimal.suffix(16))" }.joined(separator: ","))")
  }

  func fold(_ record: Coordinator.Record) {
    trace.fold(record.kind)
    trace.fold(record.task.rawValue)
    switch record {
    case .opened(_, let opening):
      trace.fold(opening.key.round << 16 | opening.key.attempt)
      trace.fold(Int(opening.deadline.milliseconds))
    case .contributed(_, let round, _, let contribution):
      trace.fold(round)
      trace.fold(contribution.digest.hexadecimal)
    case .published(_, let round, let model, _):
      trace.fold(round)
      trace.fold(model.digest.hexadecimal)
    default: break
    }
  }
}
