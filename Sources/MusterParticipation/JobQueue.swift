package import MusterSchema

/// A device's queue of the slow work that its machine asked for. One step runs at a time.
///
/// Its size is bounded: a job has at most one step of each kind, and a job that is dropped takes its steps with it.
package struct JobQueue: Sendable {
  package enum Kind: Hashable, Sendable {
    /// Fetch the model, train or evaluate, pack the result.
    case train
    case upload
    case ask
  }

  package struct Step: Hashable, Sendable {
    package let kind: Kind
    package let job: Job

    package init(_ kind: Kind, _ job: Job) {
      self.kind = kind
      self.job = job
    }

    fileprivate func isSame(as other: Step) -> Bool { kind == other.kind && concerns(other.job.task, other.job.key) }
    fileprivate func concerns(_ task: TaskID, _ key: RoundKey) -> Bool { job.task == task && job.isSameWork(as: key) }
  }

  package enum Placement: Hashable, Sendable {
    case waits
    /// The step is already running, and its pause before the next try is to be cut short.
    case hurries
  }

  package private(set) var current: Step?
  private var waiting: [Step] = []

  package init() {}

  /// Steps that are waiting or running.
  package var count: Int { waiting.count + (current == nil ? 0 : 1) }

  /// Whether such a step is waiting or running.
  package func holds(_ kind: Kind, _ task: TaskID, _ key: RoundKey) -> Bool {
    ([current].compactMap { $0 } + waiting).contains { $0.kind == kind && $0.concerns(task, key) }
  }

  /// Adds a step. It replaces a waiting step of the same kind for the same job.
  package mutating func place(_ step: Step) -> Placement {
    if let current, current.isSame(as: step) { return .hurries }
    waiting.removeAll { $0.isSame(as: step) }
    waiting.append(step)
    return .waits
  }

  /// Removes the waiting steps of a job.
  ///
  /// - Returns: whether a step of the job is running, which the caller must then stop.
  package mutating func cancel(_ task: TaskID, _ key: RoundKey) -> Bool {
    waiting.removeAll { $0.concerns(task, key) }
    return current?.concerns(task, key) ?? false
  }

  /// Takes the next step, unless one is running already. The step counts as running until ``end()``.
  package mutating func take() -> Step? {
    guard current == nil, !waiting.isEmpty else { return nil }
    current = waiting.removeFirst()
    return current
  }

  /// Ends the running step.
  package mutating func end() { current = nil }
}
