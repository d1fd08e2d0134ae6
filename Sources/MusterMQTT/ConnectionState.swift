/// The state that the program and the connection's thread share under one lock. Continuations are resumed outside of the lock.
struct ConnectionState {
  typealias Reader = CheckedContinuation<MQTTEvent?, Never>
  typealias Flush = (target: UInt64, deadline: ContinuousClock.Instant, continuation: CheckedContinuation<Bool, Never>)

  var outbox: Outbox
  var inbox: ReceiveQueue
  var stage = MQTTState.connecting(connection: 1)
  /// The number of the connection that is subscribed and ready.
  var connection: Int?
  var reconnectAt: ContinuousClock.Instant?
  var isStopping = false
  var hasEnded = false
  var isResolving = false
  var closers: [CheckedContinuation<Void, Never>] = []
  private(set) var subscriptions: [MQTTSubscription] = []
  private var added: [MQTTSubscription] = []
  private var reader: Reader?
  private var flushes: [Flush] = []
  private var isWakePending = false
  private(set) var refusals = 0
  var statistics = MQTTStatistics()

  init(outbox: Outbox, inbox: ReceiveQueue) {
    self.outbox = outbox
    self.inbox = inbox
  }

  var currentStatistics: MQTTStatistics {
    var current = statistics
    current.outboxDropped = outbox.dropped
    current.outboxBytes = outbox.bytes
    current.inboxSuperseded = inbox.superseded
    return current
  }

  /// Whether the thread must be woken, which is the case unless it was woken since it last checked for requests.
  mutating func needsWake() -> Bool {
    defer { isWakePending = true }
    return !isWakePending
  }

  mutating func wakeSeen() { isWakePending = false }

  // MARK: Publishing

  mutating func offer(_ item: Outbox.Item) -> MQTTPublishOutcome {
    if hasEnded || isStopping { return .refused(.closed) }
    if let wanted = item.connection, wanted != connection { return .refused(.connection) }
    let outcome = outbox.offer(item)
    switch outcome {
    case .accepted: statistics.accepted += 1
    case .superseded:
      statistics.accepted += 1
      statistics.outboxSuperseded += 1
    case .refused: refusals += 1
    }
    return outcome
  }

  /// - Returns: the result, if it is known already.
  mutating func flush(until deadline: ContinuousClock.Instant, _ continuation: CheckedContinuation<Bool, Never>) -> Bool? {
    guard outbox.oldestOutstanding != nil else { return true }
    guard !hasEnded else { return false }
    flushes.append((outbox.lastSequence, deadline, continuation))
    return nil
  }

  var nextFlushDeadline: ContinuousClock.Instant? { flushes.map(\.deadline).min() }

  /// Removes and returns the flushes that are done or past their deadline.
  mutating func takeFinishedFlushes() -> [(CheckedContinuation<Bool, Never>, Bool)] {
    guard !flushes.isEmpty else { return [] }
    let oldest = outbox.oldestOutstanding ?? .max
    let now = ContinuousClock.now
    var finished: [(CheckedContinuation<Bool, Never>, Bool)] = []
    flushes.removeAll { flush in
      let isDone = oldest > flush.target
      guard isDone || flush.deadline <= now else { return false }
      finished.append((flush.continuation, isDone))
      return true
    }
    return finished
  }

  // MARK: Subscribing

  mutating func add(_ more: [MQTTSubscription]) {
    for subscription in more {
      subscriptions.removeAll { $0.filter == subscription.filter }
      subscriptions.append(subscription)
    }
    added += more
  }

  mutating func takeAddedSubscriptions() -> [MQTTSubscription] {
    defer { added = [] }
    return added
  }

  // MARK: Reading

  /// - Returns: the waiting reader, which must be resumed with this event; `nil` when no reader waits and the event was queued.
  mutating func add(_ event: MQTTEvent) -> Reader? {
    if case .message = event { statistics.received += 1 }
    if let reader = takeReader() { return reader }
    inbox.append(event)
    return nil
  }

  typealias Taken = (event: MQTTEvent?, isImmediate: Bool, previous: Reader?, wake: Bool)

  mutating func take(_ continuation: Reader, isCancelled: Bool) -> Taken {
    if isCancelled { return (nil, true, nil, false) }
    let wasOverfull = inbox.isOverfull
    if let event = inbox.popFirst() { return (event, true, nil, wasOverfull && !inbox.isOverfull && needsWake()) }
    if hasEnded { return (nil, true, nil, false) }
    let previous = takeReader()
    reader = continuation
    return (nil, false, previous, false)
  }

  mutating func takeReader() -> Reader? {
    defer { reader = nil }
    return reader
  }

  mutating func end() -> (Reader?, [CheckedContinuation<Bool, Never>], [CheckedContinuation<Void, Never>]) {
    hasEnded = true
    stage = .closed
    connection = nil
    defer {
      flushes = []
      closers = []
    }
    return (takeReader(), flushes.map(\.continuation), closers)
  }
}
