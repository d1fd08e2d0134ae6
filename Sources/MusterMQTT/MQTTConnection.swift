import Logging
import MusterGround
import Synchronization

/// The program's side of a connection. Every member may be called from any thread, and returns at once unless it is `async`.
package final class MQTTConnection: Sendable {
  let shared: Mutex<ConnectionState>
  let waker: Waker
  private let maximumPayload: Int
  private let logger: Logger

  init(_ configuration: MQTTConfiguration, logger: Logger) throws(MQTTError) {
    do throws(FileError) { waker = try Waker() } catch { throw .configuration("MQTT: \(error)") }
    shared = Mutex(ConnectionState(outbox: Outbox(limit: configuration.outboxLimit), inbox: ReceiveQueue(limit: configuration.inboxLimit)))
    maximumPayload = configuration.maximumPayload
    self.logger = logger
  }

  package var state: MQTTState { shared.withLock(\.stage) }
  package var statistics: MQTTStatistics { shared.withLock { $0.currentStatistics } }

  /// The events of the connection, for one reader. They are bounded by `MQTTConfiguration.inboxLimit`: when it is full, a message replaces
  /// the newest unread message of its topic. If that is not enough, the connection stops reading until the reader has caught up. The
  /// sequence ends with the connection's scope.
  package var events: MQTTEvents { MQTTEvents(connection: self) }

  /// Puts a message into the bounded outbox, where it waits while there is no connection.
  ///
  /// A QoS 1 message stays there until the broker has acknowledged it, over as many connections as that takes, so it may arrive twice. Of a
  /// retained topic, only the newest unsent state is kept.
  ///
  /// - Parameter connection: sends the message only on the connection with this number, for births, which carry a session.
  @discardableResult
  package func publish(_ message: MQTTMessage, on connection: Int? = nil) -> MQTTPublishOutcome {
    guard TopicSyntax.isTopic(message.topic) else { return .refused(.topic) }
    guard message.payload.count <= maximumPayload else { return .refused(.payload) }
    let (outcome, wake, refusals) = shared.withLock { state in
      let outcome = state.offer(Outbox.Item(message: message, connection: connection))
      return (outcome, outcome.isAccepted && state.needsWake(), state.refusals)
    }
    if wake { waker.wake() }
    if outcome == .refused(.full), refusals % 1000 == 1 {
      logger.notice(
        "the MQTT outbox is full; messages are dropped until the broker is reachable again", metadata: ["mqtt.dropped": "\(refusals)"])
    }
    return outcome
  }

  @discardableResult
  package func publish(
    topic: String, payload: [UInt8], quality: MQTTQuality = .atLeastOnce, retained: Bool = false, on connection: Int? = nil
  ) -> MQTTPublishOutcome {
    publish(MQTTMessage(topic: topic, payload: payload, quality: quality, retained: retained), on: connection)
  }

  /// Adds filters that are in force on this and every later connection. They take effect soon, not at once.
  package func subscribe(to subscriptions: [MQTTSubscription]) throws(MQTTError) {
    for subscription in subscriptions where !TopicSyntax.isFilter(subscription.filter) {
      throw .configuration("MQTT: \"\(subscription.filter.prefix(120))\" is not a topic filter")
    }
    let wake = shared.withLock { state in
      state.add(subscriptions)
      return state.needsWake()
    }
    if wake { waker.wake() }
  }

  /// Waits until every message that was published before the call is acknowledged by the broker or, at QoS 0, taken by the system.
  ///
  /// Cancellation does not end the wait early, because it belongs to a clean stop.
  ///
  /// - Returns: false if that did not happen in time, or if the connection's scope ended.
  package func flush(timeout: Duration) async -> Bool {
    await withCheckedContinuation { continuation in
      let (done, wake): (Bool?, Bool) = shared.withLock { state in
        let done = state.flush(until: .now + timeout, continuation)
        return (done, done == nil && state.needsWake())
      }
      if let done { continuation.resume(returning: done) }
      if wake { waker.wake() }
    }
  }

  /// Drops the connection without a DISCONNECT, so that its Will is published, and reconnects after `delay` at the earliest.
  ///
  /// Used when a second client has the same identity.
  package func reconnect(after delay: Duration) {
    let wake = shared.withLock { state in
      state.reconnectAt = .now + delay
      return state.needsWake()
    }
    if wake { waker.wake() }
  }

  /// Sends DISCONNECT and ends the connection's thread.
  package func close() async {
    await withCheckedContinuation { continuation in
      let ended = shared.withLock { state in
        state.isStopping = true
        // The thread cannot be interrupted in the resolver. It ends by itself when the resolver returns.
        if state.hasEnded || state.isResolving { return true }
        state.closers.append(continuation)
        return false
      }
      waker.wake()
      if ended {
        finish()
        continuation.resume()
      }
    }
  }

  /// Marks the connection as ended and resumes everything that waits for it.
  func finish() {
    let (reader, flushes, closers) = shared.withLock { $0.end() }
    reader?.resume(returning: nil)
    for flush in flushes { flush.resume(returning: false) }
    for closer in closers { closer.resume() }
  }

  func add(_ event: MQTTEvent) {
    let reader = shared.withLock { $0.add(event) }
    reader?.resume(returning: event)
  }
}

/// The events of a connection, for one reader. A second reader ends the first.
package struct MQTTEvents: AsyncSequence, Sendable {
  package typealias Element = MQTTEvent
  package typealias Failure = Never

  let connection: MQTTConnection

  package struct AsyncIterator: AsyncIteratorProtocol {
    let connection: MQTTConnection

    /// The next event; `nil` when the connection's scope has ended or the reading task is cancelled.
    package mutating func next() async -> MQTTEvent? {
      await connection.next()
    }

    package mutating func next(isolation actor: isolated (any Actor)?) async -> MQTTEvent? {
      await connection.next()
    }
  }

  package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(connection: connection) }
}

extension MQTTConnection {
  fileprivate func next() async -> MQTTEvent? {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let taken = shared.withLock { $0.take(continuation, isCancelled: Task.isCancelled) }
        if let previous = taken.previous { previous.resume(returning: nil) }
        if taken.wake { waker.wake() }
        if taken.isImmediate { continuation.resume(returning: taken.event) }
      }
    } onCancel: {
      shared.withLock { $0.takeReader() }?.resume(returning: nil)
    }
  }
}

extension MQTTPublishOutcome {
  package var isAccepted: Bool {
    if case .refused = self { false } else { true }
  }
}
