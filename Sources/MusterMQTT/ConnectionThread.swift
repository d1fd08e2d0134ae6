import CMosquitto
import Glibc
import Logging
import MusterGround
import Synchronization

/// The only thread that calls the library. It resolves, connects, polls, reads and writes.
///
/// It polls the socket itself for two reasons. The library's own loop uses `select`, which does not work in a process with more than 1,024
/// descriptors, and it gives up permanently when the broker refuses the client.
final class ConnectionThread {
  /// The way in which a connection or an attempt ended.
  enum Ending: Error {
    case failed(MQTTError)
    case requested
    case stopped
  }

  let connection: MQTTConnection
  let configuration: MQTTConfiguration
  let logger: Logger
  let drops: DropLog
  private let will: @Sendable (Int) -> MQTTMessage?
  private var generator: any RandomNumberGenerator & Sendable
  private var backoff: Backoff
  private var reported: MQTTError?
  /// Messages that arrive before the connection is reported as ready: retained messages of the first filters.
  private var held: ReceiveQueue
  private var isReady = false
  /// The number of attempts in a row that the broker ended without an answer to CONNECT.
  private var silentEndings = 0
  /// The topic of the message that was unacknowledged when the previous connection ended soon after it was made.
  private var suspect: String?
  /// Set after a write that made no progress although the socket was writable, as in a TLS handshake that waits for the other side.
  var isWriteStalled = false
  /// The number of turns in a row in which the socket was ready but nothing happened. It keeps the loop from running at full speed.
  var idleTurns = 0
  /// The largest message that the last connection left unacknowledged.
  var lastUnacknowledged: (topic: String, bytes: Int)?

  private init(
    _ connection: MQTTConnection, _ configuration: MQTTConfiguration, _ logger: Logger, _ generator: any RandomNumberGenerator & Sendable,
    _ will: @escaping @Sendable (Int) -> MQTTMessage?
  ) {
    self.connection = connection
    self.configuration = configuration
    self.logger = logger
    drops = DropLog(logger)
    self.generator = generator
    self.will = will
    backoff = Backoff(configuration.reconnect)
    held = ReceiveQueue(limit: configuration.inboxLimit)
  }

  static func start(
    for connection: MQTTConnection, configuration: MQTTConfiguration, logger: Logger, generator: any RandomNumberGenerator & Sendable,
    will: @escaping @Sendable (Int) -> MQTTMessage?
  ) throws(MQTTError) {
    do throws(ThreadError) {
      try Threads.start(named: "muster-mqtt") { ConnectionThread(connection, configuration, logger, generator, will).run() }
    } catch {
      throw .configuration("MQTT: \(error)")
    }
  }

  private func run() {
    var number = 0
    while !connection.shared.withLock(\.isStopping) {
      number += 1
      guard let (error, lived) = attempt(number), pause(after: error, lived: lived) else { break }
    }
    connection.finish()
  }

  /// - Returns: the reason why the attempt ended and how long it was connected; `nil` when the program wants to stop.
  private func attempt(_ number: Int) -> (MQTTError, Duration)? {
    var connectedAt: ContinuousClock.Instant?
    let ending = live(number, &connectedAt)
    switch ending {
    case .stopped: return nil
    case .requested: return (.requested, .zero)
    case .failed(let error):
      let lived = connectedAt.map { .now - $0 } ?? .zero
      return (connectedAt == nil ? error : explain(error, lived: lived), lived)
    }
  }

  /// Adds a hint when a message is probably too large. A broker with too low a limit hangs up on it on each connection.
  private func explain(_ error: MQTTError, lived: Duration) -> MQTTError {
    guard case .lost(let why) = error, lived < configuration.reconnect.stable, let (topic, bytes) = lastUnacknowledged else {
      suspect = nil
      return error
    }
    defer { suspect = topic }
    guard suspect == topic else { return error }
    return .lost(
      "\(why), twice right after a message of \(bytes) bytes on \(topic) was sent; check that the broker allows messages of 4 KiB (mosquitto: max_packet_size)"
    )
  }

  private func live(_ number: Int, _ connectedAt: inout ContinuousClock.Instant?) -> Ending {
    connection.shared.withLock { state in
      state.stage = .connecting(connection: number)
      state.reconnectAt = nil
    }
    isReady = false
    held = ReceiveQueue(limit: configuration.inboxLimit)
    do throws(Ending) {
      let session = try connect(number)
      connectedAt = .now
      ready(number)
      return serve(session)
    } catch {
      return error
    }
  }

  private func ready(_ number: Int) {
    reported = nil
    logger.info("connected to the broker", metadata: ["mqtt.broker": "\(configuration)", "mqtt.connection": "\(number)"])
    connection.shared.withLock { state in
      state.stage = .connected(connection: number)
      state.connection = number
      state.statistics.connections += 1
    }
    connection.add(.connected(connection: number))
    isReady = true
    while let event = held.popFirst() { connection.add(event) }
  }

  /// Makes the TCP and TLS connection, awaits the broker's answer, and subscribes.
  private func connect(_ number: Int) throws(Ending) -> MosquittoSession {
    var session = try open(number, overIPv4: false)
    do throws(Ending) {
      try awaitTCP(session)
    } catch .failed(.unreachable) where isIPv6(session) {
      // No server listens at the IPv6 address of this name, and the library would never try the other addresses.
      session = try open(number, overIPv4: true)
      try awaitTCP(session)
    }
    try awaitAnswer(session, number)
    let subscriptions = connection.shared.withLock { state in
      _ = state.takeAddedSubscriptions()
      return state.subscriptions
    }
    try subscribe(session, to: subscriptions)
    // Thousands of retained messages may arrive before the answer to SUBSCRIBE. Once the buffer is full, the connection counts as ready.
    try turn(session, until: "waiting for the answer to SUBSCRIBE") { !session.isSubscribing || held.isFull }
    if let filter = session.downgraded { throw .failed(.unfit(Self.noQuality(filter))) }
    return session
  }

  private static func noQuality(_ filter: String) -> String {
    "it grants only QoS 0 for \(filter), but QoS 1 is needed (mosquitto: max_qos)"
  }

  /// Waits for CONNACK. A broker that does not accept the client's Will may hang up without an answer. The second time in a row that this
  /// happens, a connection without a Will shows whether the Will is the cause.
  private func awaitAnswer(_ session: MosquittoSession, _ number: Int) throws(Ending) {
    do throws(Ending) {
      try turn(session, until: "waiting for the answer to CONNECT") { session.connack != nil }
      if let code = session.connack, code != 0 { throw .failed(.refused(.init(connack: Int(code)))) }
      silentEndings = 0
    } catch .failed(.lost(let why)) where will(number) != nil {
      silentEndings += 1
      guard silentEndings > 1, let missing = try examine(number) else { throw .failed(.lost(why)) }
      throw .failed(.unfit(missing))
    }
  }

  /// Connects once more, without a Will.
  ///
  /// - Returns: the reason why the broker did not accept the attempt with a Will; `nil` when this attempt fails as well.
  private func examine(_ number: Int) throws(Ending) -> String? {
    do throws(Ending) {
      let session = try open(number, overIPv4: false, willing: false)
      try awaitTCP(session)
      try turn(session, until: "waiting for the answer to CONNECT") { session.connack != nil }
      guard session.connack == 0 else { return nil }
      try subscribe(session, to: connection.shared.withLock(\.subscriptions))
      try turn(session, until: "waiting for the answer to SUBSCRIBE") { !session.isSubscribing || held.isFull }
      session.disconnect()
      return session.downgraded.map { Self.noQuality($0) } ?? "it does not accept a retained Will (mosquitto: retain_available)"
    } catch .failed {
      return nil
    }
  }

  private func open(_ number: Int, overIPv4: Bool, willing: Bool = true) throws(Ending) -> MosquittoSession {
    connection.shared.withLock { $0.isResolving = true }
    defer { connection.shared.withLock { $0.isResolving = false } }
    isWriteStalled = false
    idleTurns = 0
    do throws(MQTTError) {
      let session = try MosquittoSession(configuration, will: willing ? will(number) : nil) { [self] message in receive(message) }
      try session.open(configuration, overIPv4: overIPv4)
      return session
    } catch {
      throw .failed(error)
    }
  }

  private func receive(_ message: MQTTMessage) {
    if isReady { connection.add(.message(message)) } else { held.append(.message(message)) }
  }

  /// Reports the failure and waits for the time of the next attempt.
  ///
  /// - Returns: false when the program wants to stop.
  private func pause(after error: MQTTError, lived: Duration) -> Bool {
    let delay = backoff.delay(after: error, lived: lived, at: .now, using: &generator)
    var until = ContinuousClock.now + delay
    connection.shared.withLock { state in
      state.connection = nil
      if let asked = state.reconnectAt { until = max(until, asked) }
      // Set the state before the event is delivered: a reader of the event that asks for the state must not find the previous connection.
      state.stage = .waiting(until: until, reason: error)
    }
    log(error, delay: until - .now)
    connection.add(.disconnected(error))
    while true {
      let (isStopping, asked) = connection.shared.withLock { state in
        state.wakeSeen()
        if let asked = state.reconnectAt { until = max(until, asked) }
        state.stage = .waiting(until: until, reason: error)
        return (state.isStopping, state.nextFlushDeadline)
      }
      if isStopping { return false }
      if ContinuousClock.now >= until { return true }
      finishFlushes()
      poll(nil, until: min(until, asked ?? until))
    }
  }

  private func log(_ error: MQTTError, delay: Duration) {
    let metadata: Logger.Metadata = [
      "mqtt.broker": "\(configuration)", "mqtt.retry_ms": "\(delay.milliseconds)", "mqtt.reason": "\(error)",
    ]
    if error.needsOperator {
      if error == reported {
        logger.debug("still not connected to the broker", metadata: metadata)
      } else {
        logger.error("not connected to the broker, and retrying will not help until the cause is fixed", metadata: metadata)
      }
    } else if error != reported {
      logger.info("not connected to the broker, retrying", metadata: metadata)
    } else {
      logger.debug("still not connected to the broker", metadata: metadata)
    }
    reported = error
  }
}
