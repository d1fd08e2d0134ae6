package import MusterSchema

/// The orders of a device, one at a time: what its machine wants done that takes time.
///
/// Bounded by itself: at most one order of each kind for each job, and jobs that are dropped take their orders along.
package struct OrderBook: Sendable {
  package enum Kind: Hashable, Sendable {
    /// Fetch the model, train or evaluate, pack the result.
    case train
    case upload
    case ask
  }

  package struct Order: Hashable, Sendable {
    package let kind: Kind
    package let job: Job

    package init(_ kind: Kind, _ job: Job) {
      self.kind = kind
      self.job = job
    }

    fileprivate func isSame(as other: Order) -> Bool { kind == other.kind && concerns(other.job.task, other.job.key) }
    fileprivate func concerns(_ task: TaskID, _ key: RoundKey) -> Bool { job.task == task && job.isSameWork(as: key) }
  }

  package enum Placement: Hashable, Sendable {
    case waits
    /// It is under way already, and its pause is to be cut short.
    case hurries
  }

  package private(set) var current: Order?
  private var waiting: [Order] = []

  package init() {}

  /// Orders that wait or are under way.
  package var count: Int { waiting.count + (current == nil ? 0 : 1) }

  /// Whether such an order waits or is under way.
  package func holds(_ kind: Kind, _ task: TaskID, _ key: RoundKey) -> Bool {
    ([current].compactMap { $0 } + waiting).contains { $0.kind == kind && $0.concerns(task, key) }
  }

  /// An order that waits already is replaced by the newer one.
  package mutating func place(_ order: Order) -> Placement {
    if let current, current.isSame(as: order) { return .hurries }
    waiting.removeAll { $0.isSame(as: order) }
    waiting.append(order)
    return .waits
  }

  /// - Returns: whether something of the job is under way, and is to be stopped.
  package mutating func cancel(_ task: TaskID, _ key: RoundKey) -> Bool {
    waiting.removeAll { $0.concerns(task, key) }
    return current?.concerns(task, key) ?? false
  }

  /// The next order, unless one is under way. It is until ``end()``.
  package mutating func take() -> Order? {
    guard current == nil, !waiting.isEmpty else { return nil }
    current = waiting.removeFirst()
    return current
  }

  /// The order under way has ended.
  package mutating func end() { current = nil }
}
