import MusterSchema
import MusterStorage

// When things happened, for people: the machine knows no time of day, the store keeps it beside each record.
extension Central {
  /// Adds when the tasks were pushed and when they ended, and puts the newest first; those without a date, of version 0.1.0, come last.
  ///
  /// - Parameter task: nil: they are of any tasks.
  func dated(_ summaries: [TaskSummary], of task: TaskID? = nil) async throws(Problem) -> [TaskSummary] {
    var pushed: [TaskID: WallTime] = [:]
    var ended: [TaskID: WallTime] = [:]
    for entry in try await times(["accepted", "ended"], of: task) {
      if entry.kind == "accepted" { pushed[entry.task] = entry.committed } else { ended[entry.task] = entry.committed }
    }
    let dated = summaries.map { summary in
      var summary = summary
      (summary.pushed, summary.ended) = (pushed[summary.task], ended[summary.task])
      return summary
    }
    return dated.sorted { left, right in
      (right.pushed?.milliseconds ?? 0, left.task) < (left.pushed?.milliseconds ?? 0, right.task)
    }
  }

  /// Adds when the rounds ended. There is one record a round, in their order.
  ///
  /// - Parameter rounds: of all rounds that have ended, some in a row.
  func dated(_ rounds: ArraySlice<RoundRecord>, of task: TaskID) async throws(Problem) -> [RoundRecord] {
    let times = try await times(["completed"], of: task).map(\.committed)
    return rounds.indices.map { index in
      var record = rounds[index]
      if times.indices.contains(index) { record.ended = times[index] }
      return record
    }
  }

  private func times(_ kinds: [String], of task: TaskID?) async throws(Problem) -> [CommitTime] {
    let store = store
    do {
      return try await offloading { () throws(StorageError) in
        try store.commitTimes(machine: CentralProgram.machineName, kinds: kinds, task: task)
      }
    } catch {
      throw Problem(.unavailable, "\(error)")
    }
  }
}
