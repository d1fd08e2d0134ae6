import MusterMQTT
import MusterParticipation
import MusterSchema

/// One device: the protocol's own machine, and what its shell remembers. A few hundred bytes, and no thread.
struct LoadDevice {
  let path: NodePath
  let region: NodeID
  let id: NodeID
  var participant: Participant
  /// Of the present connection.
  var session = ""
  var watch: PresenceGuard?
  /// What is under way or waits for its turn.
  var transfer: Transfer?
  /// The invitation before.
  var lastKey: RoundKey?
  /// When it is to be woken, as the timers know.
  var alarm: Instant?
  /// Its birth went out on a connection that still stands.
  var isOnline = false
  /// Attempts to connect that failed in a row.
  var failures = 0

  /// - Parameter path: a region and a device of it.
  init(_ path: NodePath) {
    self.path = path
    region = path.nodes[0]
    id = path.nodes[path.nodes.count - 1]
    participant = Participant(id: id, coordinator: region, capacity: 1)
  }

  var stateTopic: Topic { .nodeState(coordinator: region, node: id) }

  /// The birth, as an agent would say it.
  var birth: NodeState {
    NodeState(
      node: id, online: true, session: session, nodeKind: .device, labels: ["load": "yes"],
      capabilities: Capabilities(trainers: [Self.trainer], version: Muster.version), resources: Resources(cores: 1, memoryMiB: 1024))
  }

  var lastWill: NodeState { NodeState(node: id, online: false, session: session, reason: Farewell.lost) }

  /// The name of the trainer that the device claims to have.
  static let trainer = "built-in"
  static let readiness = Readiness(devices: 1, trainer: trainer)

  /// A new connection: another session.
  mutating func begin() {
    let previous = session.isEmpty ? nil : session
    session = String(UInt64.random(in: .min ... .max), radix: 36)
    watch = PresenceGuard(session: session, previous: previous)
  }
}

extension MQTTMessage {
  /// A state: retained, and acknowledged by the broker.
  init(_ topic: Topic, _ message: some Message, lasting: Bool = true) throws(MessageError) {
    self.init(
      topic: "\(topic)", payload: try MessageCoder.encode(message), quality: lasting ? .atLeastOnce : .atMostOnce, retained: true)
  }
}
