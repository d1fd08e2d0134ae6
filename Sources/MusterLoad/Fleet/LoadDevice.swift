import MusterMQTT
import MusterParticipation
import MusterSchema

/// One device: its `Participant`, and the state that a shell would keep. It takes a few hundred bytes and no thread.
struct LoadDevice {
  let path: NodePath
  let region: NodeID
  let id: NodeID
  var participant: Participant
  /// The session of the current connection.
  var session = ""
  var watch: PresenceGuard?
  /// The transfer that is in progress or waits for its turn.
  var transfer: Transfer?
  /// The key of the previous invitation.
  var lastKey: RoundKey?
  /// The time at which a timer will wake the machine.
  var alarm: Instant?
  /// Whether the birth was published on a connection that is still up.
  var isOnline = false
  /// The number of failed attempts to connect in a row.
  var failures = 0

  /// - Parameter path: the path of a device, with its region first.
  init(_ path: NodePath) {
    self.path = path
    region = path.nodes[0]
    id = path.nodes[path.nodes.count - 1]
    participant = Participant(id: id, coordinator: region, capacity: 1)
  }

  var stateTopic: Topic { .nodeState(coordinator: region, node: id) }

  /// The birth message, as an agent would publish it.
  var birth: NodeState {
    NodeState(
      node: id, online: true, session: session, nodeKind: .device, labels: ["load": "yes"],
      capabilities: Capabilities(trainers: [Self.trainer], version: Muster.version), resources: Resources(cores: 1, memoryMiB: 1024))
  }

  var lastWill: NodeState { NodeState(node: id, online: false, session: session, reason: Farewell.lost) }

  /// The name of the trainer that the device claims to have.
  static let trainer = "built-in"
  static let readiness = Readiness(devices: 1, trainer: trainer)

  /// Starts a new session for a new connection.
  mutating func begin() {
    let previous = session.isEmpty ? nil : session
    session = String(UInt64.random(in: .min ... .max), radix: 36)
    watch = PresenceGuard(session: session, previous: previous)
  }
}

extension MQTTMessage {
  /// Makes a retained message; `lasting` asks the broker to acknowledge it.
  init(_ topic: Topic, _ message: some Message, lasting: Bool = true) throws(MessageError) {
    self.init(
      topic: "\(topic)", payload: try MessageCoder.encode(message), quality: lasting ? .atLeastOnce : .atMostOnce, retained: true)
  }
}
