package import MusterSchema

/// At most one `RoundState` a second for each task: the newest wins, and an end is never held back.
package struct RoundWindow: Sendable {
  private var published: [TaskID: ContinuousClock.Instant] = [:]
  private var pending: Set<TaskID> = []

  package init() {}

  package mutating func changed(_ task: TaskID) { pending.insert(task) }

  /// The tasks whose window may be written now.
  package mutating func due(at now: ContinuousClock.Instant, isFinal: (TaskID) -> Bool) -> [TaskID] {
    let due = pending.filter { task in isFinal(task) || published[task].map { now - $0 >= .seconds(1) } ?? true }.sorted()
    for task in due {
      pending.remove(task)
      published[task] = isFinal(task) ? nil : now
    }
    return due
  }

  package var isPending: Bool { !pending.isEmpty }
}
