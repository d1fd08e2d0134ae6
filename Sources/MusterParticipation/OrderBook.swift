package import MusterSchema

/// A device's queue of the slow work that its machine asked for. One order runs at a time.
///
/// Its size is bounded: a job has at most one order of each kind, and a job that is dropped takes its orders with it.
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
    /// The order is already running, and its pause before the next try is to be cut short.
    case hurries
  }

  package private(set) var current: Order?
  private var waiting: [Order] = []

  package init() {}

  /// Orders that are waiting or running.
  package var count: Int { waiting.count + (current == nil ? 0 : 1) }

  /// Whether such an order is waiting or running.
  package func holds(_ kind: Kind, _ task: TaskID, _ key: RoundKey) -> Bool {
    ([current].compactMap { $0 } + waiting).contains { $0.kind == kind && $0.concerns(task, key) }
  }

  /// Adds an order. It replaces a waiting order of the same kind for the same job.
  package mutating func place(_ order: Order) -> Placement {
    if let current, current.isSame(as: order) { return .hurries }
    waiting.removeAll { $0.isSame(as: order) }
    waiting.append(order)
    return .waits
  }

  /// Removes the waiting orders of a job.
  ///
  /// - Returns: whether an order of the job is running, which the caller must then stop.
  package mutating func cancel(_ task: TaskID, _ key: RoundKey) -> Bool {
    waiting.removeAll { $0.concerns(task, key) }
    return current?.concerns(task, key) ?? false
  }

  /// Takes the next order, unless one is running already. The order counts as running until ``end()``.
  package mutating func take() -> Order? {
    guard current == nil, !waiting.isEmpty else { return nil }
    current = waiting.removeFirst()
    return current
  }

  /// Ends the running order.
  package mutating func end() { current = nil }
}
