package import MusterSchema

/// A coordinator's tasks. Open tasks are kept apart from those that ended within the last day: every batch of events copies the open ones,
/// and a day may see many tasks.
package struct TaskTable: Sendable {
  private var open: [TaskID: TaskRun] = [:]
  private var ended: SharingDictionary<TaskID, TaskRun> = [:]

  package var count: Int { open.count + ended.count }
  package var keys: [TaskID] { Array(open.keys) + Array(ended.keys) }
  package var values: [TaskRun] { Array(open.values) + Array(ended.values) }

  package subscript(id: TaskID) -> TaskRun? {
    @inline(__always)
    get {
      guard !ended.isEmpty, let run = ended[id] else { return open[id] }
      return run
    }
    @inline(__always)
    _modify {
      if ended.isEmpty || ended[id] == nil { yield &open[id] } else { yield &ended[id] }
    }
  }

  /// Moves a task that has ended to the ended ones. Called whenever a task may have ended.
  mutating func file(_ id: TaskID) {
    guard let run = open[id], run.isEnded else { return }
    open[id] = nil
    ended[id] = run
  }

  mutating func removeValue(forKey id: TaskID) -> TaskRun? {
    defer { self[id] = nil }
    return self[id]
  }
}

extension TaskTable: Sequence {
  package func makeIterator() -> some IteratorProtocol<(key: TaskID, value: TaskRun)> {
    (open.map { (key: $0, value: $1) } + ended.map { (key: $0, value: $1) }).makeIterator()
  }
}
