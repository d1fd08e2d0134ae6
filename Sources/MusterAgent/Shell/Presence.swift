import Logging
import MusterMQTT
import MusterParticipation
import MusterSchema
import Synchronization

/// The agent's presence at the broker: a session for each connection, and the messages that carry it.
final class Presence: Sendable {
  private struct State {
    var connection: MQTTConnection?
    var number = 0
    var session = ""
    var sessions: [Int: String] = [:]
    var watch: PresenceGuard?
  }

  let id: NodeID
  let region: NodeID
  private let logger: Logger
  private let state = Mutex(State())
  let drops: DropLog

  init(id: NodeID, region: NodeID, logger: Logger) {
    self.id = id
    self.region = region
    self.logger = logger
    drops = DropLog(logger)
  }

  var topic: Topic { .nodeState(coordinator: region, node: id) }
  var session: String { state.withLock(\.session) }

  func attach(_ connection: MQTTConnection) { state.withLock { $0.connection = connection } }

  /// The Will of an attempt to connect, with the session that its birth will carry.
  func will(_ number: Int) -> MQTTMessage? {
    var generator = SystemRandomNumberGenerator()
    let session = String(generator.next() as UInt64, radix: 36)
    state.withLock { state in
      state.sessions = state.sessions.filter { $0.key >= number - 1 }
      state.sessions[number] = session
    }
    return encode(topic, NodeState(node: id, online: false, session: session, reason: Farewell.lost)).map {
      MQTTMessage(topic: "\(topic)", payload: $0, quality: .atLeastOnce, retained: true)
    }
  }

  /// Makes the session of a new connection the current one.
  func begin(_ number: Int) {
    state.withLock { state in
      let previous = state.session
      state.number = number
      state.session = state.sessions[number] ?? ""
      state.watch = PresenceGuard(session: state.session, previous: previous.isEmpty ? nil : previous)
    }
  }

  /// Publishes the node's state on this connection or not at all, because the state carries the connection's session.
  func publish(_ node: NodeState) {
    let (connection, number) = state.withLock { ($0.connection, $0.number) }
    guard number > 0, let payload = encode(topic, node) else { return }
    connection?.publish(topic: "\(topic)", payload: payload, quality: .atLeastOnce, retained: true, on: number)
  }

  /// Publishes a status. A progress status may be lost; any other may not.
  func publish(_ status: NodeStatus, lasting: Bool) {
    let topic = Topic.nodeStatus(coordinator: region, node: id, task: status.task)
    guard let payload = encode(topic, status) else { return }
    state.withLock(\.connection)?.publish(
      topic: "\(topic)", payload: payload, quality: lasting ? .atLeastOnce : .atMostOnce, retained: true)
  }

  /// Decides what to do about a message on the node's own state topic.
  func judge(_ message: MQTTMessage) -> PresenceGuard.Action {
    guard !message.payload.isEmpty else { return .publishBirth }
    do {
      let other = try MessageCoder.decode(NodeState.self, from: message.payload)
      guard other.node == id else {
        drops.note("it names the node \(other.node), to which this topic does not belong", topic: "\(topic)")
        return .publishBirth
      }
      let (watch, connection) = state.withLock { ($0.watch, $0.connection) }
      guard let action = watch?.action(online: other.online, session: other.session, retained: message.retained) else { return .none }
      if action == .duplicate {
        logger.critical(
          "another agent is online as \(region)/\(id); stop one of the two, or give it another id",
          metadata: [
            "node.id": "\(id)", "session": "\(session)",
            "other.session": "\(other.session.prefix(40).description.withoutControlCharacters)",
          ])
        connection?.reconnect(after: .seconds(.random(in: 30...60)))
      }
      return action
    } catch {
      drops.note("\(error)", topic: "\(topic)")
      return .publishBirth
    }
  }

  private func encode(_ topic: Topic, _ message: some Message) -> [UInt8]? {
    do {
      return try MessageCoder.encode(message)
    } catch {
      logger.error("a message cannot be published: \(error)", metadata: ["topic": "\(topic)"])
      return nil
    }
  }
}
