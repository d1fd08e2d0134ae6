package import Logging
package import MusterMQTT
import MusterParticipation
package import MusterSchema
package import MusterShell
import Synchronization

/// A role's connection to a broker.
///
/// Each connection has its own session in its birth message and its Will. The link parses topics, and detects a second program with the
/// same identity.
package final class BrokerLink: Sendable {
  /// Encodes the role's state message: its birth if `offline` is nil, otherwise an offline message with that reason (``Farewell``).
  private typealias Presence = @Sendable (_ session: String, _ offline: String?) -> [UInt8]

  private struct State {
    var connection: MQTTConnection?
    /// The number of the current connection; `nil` without one.
    var number: Int?
    var session = ""
    var sessions: [Int: String] = [:]
    var probe: BrokerProbe?
    /// A sentence about a feature that the broker lacks.
    var missing: String?
  }

  private let configuration: MQTTConfiguration
  private let topic: Topic
  private let filters: [String]
  private let presence: Presence
  private let logger: Logger
  private let state = Mutex(State())
  /// Log of this connection's dropped messages.
  package let drops: DropLog

  /// - Parameters:
  ///   - topic: the topic of the role's own state.
  ///   - filters: the subscribed topics, including the own state.
  ///   - presence: the role's state message: its birth if `offline` is nil, otherwise an offline message with that reason (``Farewell``).
  package init(
    _ configuration: MQTTConfiguration, topic: Topic, filters: [String], logger: Logger,
    presence: @escaping @Sendable (_ session: String, _ offline: String?) -> some Message
  ) {
    self.configuration = configuration
    self.topic = topic
    self.filters = filters
    self.logger = logger
    self.presence = { session, offline in
      do {
        return try MessageCoder.encode(presence(session, offline))
      } catch {
        preconditionFailure("a server's state message cannot be encoded, although its parts are checked: \(error)")
      }
    }
    drops = DropLog(logger)
  }

  /// Whether the link is connected to a broker that has all required features, as far as known.
  package var isConnected: Bool {
    state.withLock { state in
      if case .connected = state.connection?.state { state.missing == nil } else { false }
    }
  }

  /// A sentence about the connection, for `/readyz`.
  package var summary: String {
    switch state.withLock({ $0.connection?.state }) {
    case .connected: "connected to \(configuration)\(state.withLock(\.missing).map { ", but \($0); see broker/README.md" } ?? "")"
    case .connecting: "connecting to \(configuration)"
    case .waiting(_, let reason): "not connected to \(configuration): \(reason)"
    case .closed, nil: "not connected to \(configuration)"
    }
  }

  /// Publishes a message, or drops it without a connection: `owed` repeats whatever is still needed on the next connection.
  package func publish(_ topic: Topic, _ payload: [UInt8], retained: Bool, quality: MQTTQuality) {
    guard let (connection, number) = state.withLock({ state in state.number.flatMap { number in state.connection.map { ($0, number) } } })
    else { return }
    let outcome = connection.publish(topic: "\(topic)", payload: payload, quality: quality, retained: retained, on: number)
    if outcome == .refused(.full) { logger.warning("a message was dropped: the outbox is full", metadata: ["topic": "\(topic)"]) }
  }

  package func publish(_ topic: Topic, _ message: some Message, retained: Bool = true, quality: MQTTQuality = .atLeastOnce) {
    do {
      publish(topic, try MessageCoder.encode(message), retained: retained, quality: quality)
    } catch {
      logger.error("a message cannot be published: \(error)", metadata: ["topic": "\(topic)"])
    }
  }

  /// See ``publish(_:_:retained:quality:)``.
  package func publish(_ publication: Publication) {
    let (topic, retained) = (publication.topic, publication.isRetained)
    let quality: MQTTQuality = publication.isLasting ? .atLeastOnce : .atMostOnce
    switch publication.content {
    case .descriptor(let message): publish(topic, message, retained: retained, quality: quality)
    case .invitation(let message): publish(topic, message, retained: retained, quality: quality)
    case .round(let message): publish(topic, message, retained: retained, quality: quality)
    case .status(let message): publish(topic, message, retained: retained, quality: quality)
    case .nothing: publish(topic, [], retained: retained, quality: quality)
    }
  }

  /// Publishes the birth again, because its content has changed.
  package func publishBirth() {
    let session = state.withLock(\.session)
    if !session.isEmpty { publish(topic, presence(session, nil), retained: true, quality: .atLeastOnce) }
  }

  /// Replaces the connection by a new one, so that every retained topic is read again.
  package func renew(after delay: Duration = .zero) { state.withLock(\.connection)?.reconnect(after: delay) }

  /// Keeps the connection until the task is cancelled. Then it publishes the offline state and disconnects in order.
  ///
  /// - Parameters:
  ///   - connected: called on every connection, after the birth.
  ///   - disconnected: called when the connection was lost or could not be made.
  ///   - receive: called with each message on the role's topics, except those on its own state topic.
  package func run(
    connected: @escaping @Sendable () async -> Void, disconnected: @escaping @Sendable () async -> Void,
    receive: @escaping @Sendable (Topic, MQTTMessage) async -> Void
  ) async throws {
    try await MQTTClient.withConnection(
      configuration, subscriptions: filters.map { MQTTSubscription($0) }, logger: logger, will: will
    ) { connection in
      state.withLock { $0.connection = connection }
      var watch: PresenceGuard?
      var trouble = ""
      // Ends a probe to which the broker does not reply. Bounded, because only the probe of the newest connection matters.
      let (probes, probed) = AsyncStream.makeStream(of: Int.self, bufferingPolicy: .bufferingNewest(1))
      async let judging: Void = judge(probes)
      for await event in connection.events {
        switch event {
        case .connected(let number):
          watch = begin(number)
          connection.publish(
            topic: "\(topic)", payload: presence(state.withLock(\.session), nil), retained: true, on: number)
          trouble = ""
          probe(connection, number)
          probed.yield(number)
          await connected()
        case .disconnected(let error):
          state.withLock { $0.number = nil }
          // The same error is logged once, not for each attempt.
          if trouble != "\(error)" {
            trouble = "\(error)"
            logger.warning("not connected to the broker: \(error)", metadata: ["broker": "\(configuration)"])
          }
          await disconnected()
        case .message(let message):
          if !takeProbe(message, connection) { await handle(message, watch, receive) }
        }
      }
      probed.finish()
      await judging
      connection.publish(topic: "\(topic)", payload: presence(state.withLock(\.session), Farewell.stopped), retained: true)
      if !(await connection.flush(timeout: .seconds(2))) { logger.notice("the broker did not acknowledge the offline message in time") }
      state.withLock { $0.connection = nil }
    }
  }

  // MARK: Whether the broker has all required features

  private func probe(_ connection: MQTTConnection, _ number: Int) {
    guard case .coordinatorState(let id) = topic else { return }
    let probe = BrokerProbe(coordinator: id)
    state.withLock { state in
      state.probe = probe
      state.missing = nil
    }
    connection.publish(topic: probe.topic, payload: BrokerProbe.payload, retained: true, on: number)
  }

  /// - Returns: whether the message belonged to the probe.
  private func takeProbe(_ message: MQTTMessage, _ connection: MQTTConnection) -> Bool {
    let (action, isOurs) = state.withLock { state in
      guard let topic = state.probe?.topic, message.topic == topic else { return (BrokerProbe.Action?.none, false) }
      return (state.probe?.received(message), true)
    }
    switch action {
    case .ask:
      do throws(MQTTError) {
        try connection.subscribe(to: [MQTTSubscription(message.topic)])
      } catch {
        logger.error("the broker cannot be probed: \(error)")
      }
    case .clear:
      logger.debug("the broker has all required features", metadata: ["broker": "\(configuration)"])
      connection.publish(topic: message.topic, payload: [], retained: true)
    case nil: break
    }
    return isOurs
  }

  /// Logs missing features of the broker, ``BrokerProbe/patience`` after each connection.
  private func judge(_ connections: AsyncStream<Int>) async {
    await withTaskGroup(of: Void.self) { group in
      for await number in connections {
        group.addTask {
          do { try await Task.sleep(for: BrokerProbe.patience) } catch { return }
          let missing = self.state.withLock { state -> String? in
            guard state.number == number, let missing = state.probe?.missing else { return nil }
            state.missing = missing
            return missing
          }
          if let missing {
            self.logger.error("\(missing); see broker/README.md", metadata: ["broker": "\(self.configuration)"])
          }
        }
      }
      group.cancelAll()
    }
  }

  @Sendable private func will(_ number: Int) -> MQTTMessage? {
    var generator = SystemRandomNumberGenerator()
    let session = String(generator.next() as UInt64, radix: 36)
    state.withLock { state in
      state.sessions = state.sessions.filter { $0.key >= number - 1 }
      state.sessions[number] = session
    }
    return MQTTMessage(topic: "\(topic)", payload: presence(session, Farewell.lost), quality: .atLeastOnce, retained: true)
  }

  private func begin(_ number: Int) -> PresenceGuard {
    state.withLock { state in
      let previous = state.session
      state.session = state.sessions[number] ?? ""
      state.number = number
      return PresenceGuard(session: state.session, previous: previous)
    }
  }

  private func handle(
    _ message: MQTTMessage, _ watch: PresenceGuard?, _ receive: @Sendable (Topic, MQTTMessage) async -> Void
  ) async {
    let topic: Topic
    do {
      topic = try Topic(parsing: message.topic)
    } catch {
      drops.note("\(error)", topic: nil)
      return
    }
    guard topic == self.topic else {
      await receive(topic, message)
      return
    }
    guard let watch else { return }
    guard let own = OwnState(message.payload), own.speaks(for: topic) else {
      // Another program cleared or overwrote the state, so it is published again.
      if !message.payload.isEmpty { drops.note("it is not a state message of this program", topic: "\(topic)") }
      return publishBirth()
    }
    switch watch.action(online: own.online, session: own.session, retained: message.retained) {
    case .none: break
    case .publishBirth: publishBirth()
    case .duplicate:
      logger.critical(
        "another program is online under this identity; stop one of the two, or give it another id",
        metadata: ["topic": "\(topic)", "session": "\(state.withLock(\.session))", "other.session": "\(own.session)"])
      renew(after: .seconds(30))
    }
  }

  /// The members that state messages of all kinds have.
  private struct OwnState: Decodable {
    var online: Bool
    var session: String
    var node: String?
    var coordinator: String?

    /// Whether the message names the id of its topic. If not, it does not show a second program with this identity.
    func speaks(for topic: Topic) -> Bool {
      switch topic {
      case .coordinatorState(let id): coordinator == id.rawValue
      case .nodeState(_, let id): node == id.rawValue
      default: false
      }
    }

    init?(_ payload: [UInt8]) {
      guard let state = try? JSON.decode(OwnState.self, from: payload) else { return nil }
      self = state
    }
  }
}
