import Logging
import MusterGround
import Synchronization

/// The program's side of a connection. Everything here may be called from any thread and returns at once, but for what is `async`.
package final class MQTTConnection: Sendable {
  let shared: Mutex<ConnectionState>
  let waker: Waker
  private let maximumPayload: Int
  private let logger: Logger

  init(_ configuration: MQTTConfiguration, logger: Logger) throws(MQTTError) {
    do throws(FileError) { waker = try Waker() } catch { throw .configuration("MQTT: \(error)") }
    shared = Mutex(ConnectionState(outbox: Outbox(limit: configuration.outboxLimit), inbox: Inbox(limit: configuration.inboxLimit)))
    maximumPayload = configuration.maximumPayload
    self.logger = logger
  }

  package var state: MQTTState { shared.withLock(\.stage) }
  package var statistics: MQTTStatistics { shared.withLock { $0.currentStatistics } }

  /// What the connection reports, for one reader. Bounded by `MQTTConfiguration.inboxLimit`: when it is full, a message replaces the
  /// newest unread one of its topic; if that is not enough, the connection stops reading until the reader has caught up. Ends with the scope.
  package var events: MQTTEvents { MQTTEvents(connection: self) }

  /// Puts a message into the bounded outbox. While there is no connection it waits there; at QoS 1 it stays until the broker has
  /// acknowledged it, over as many connections as that takes, and may so arrive twice. Only the newest unsent state of a retained topic is
  /// kept.
  ///
  /// - Parameter connection: send it on the connection with this number or not at all: for births, which carry a session.
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
      logger.notice("the MQTT outbox is full, messages are dropped until the broker is back", metadata: ["mqtt.dropped": "\(refusals)"])
    }
    return outcome
  }

  @discardableResult
  package func publish(
    topic: String, payload: [UInt8], quality: MQTTQuality = .atLeastOnce, retained: Bool = false, on connection: Int? = nil
  ) -> MQTTPublishOutcome {
    publish(MQTTMessage(topic: topic, payload: payload, quality: quality, retained: retained), on: connection)
  }

  /// Adds filters to the set that is in force on this and every later connection. They take effect soon, not at once.
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

  /// Waits until the broker has acknowledged (QoS 0: the system has taken) everything that was published before the call.
  ///
  /// - Returns: false if that did not happen in time, or the scope ended. Cancellation does not cut it short: it belongs to a clean stop.
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

  /// Drops the connection without a DISCONNECT, so that its Will is published, and makes the next one no sooner than `delay` from now.
  /// For a second client with the same identity.
  package func reconnect(after delay: Duration) {
    let wake = shared.withLock { state in
      state.reconnectAt = .now + delay
      return state.needsWake()
    }
    if wake { waker.wake() }
  }

  /// DISCONNECT, and the end of the owning thread.
  package func close() async {
    await withCheckedContinuation { continuation in
      let ended = shared.withLock { state in
        state.isStopping = true
        // The thread cannot be called out of the resolver. It will end by itself when it is back.
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

  /// Nobody can connect any more: what waits is told so.
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

/// The events of a connection, for one reader: a second one ends the first.
package struct MQTTEvents: AsyncSequence, Sendable {
  package typealias Element = MQTTEvent
  package typealias Failure = Never

  let connection: MQTTConnection

  package struct AsyncIterator: AsyncIteratorProtocol {
    let connection: MQTTConnection

    /// Nil when the connection's scope has ended or the reading task is cancelled.
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
