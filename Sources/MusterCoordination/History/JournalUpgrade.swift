package import MusterParticipation
package import MusterSchema

// The journal of an earlier version holds every finished round. This version's holds only a summary of them, and the history has the rest.
extension Coordinator {
  /// The summaries to insert into an earlier version's journal.
  ///
  /// - Returns: each summary by the position of the record that it follows.
  package static func summaries(
    of records: [(at: Instant, record: Record)], id: NodeID, configuration: CoordinatorConfiguration
  ) -> [Int: Record] {
    var machine = Coordinator(id: id, configuration: configuration)
    var summaries: [Int: Record] = [:]
    for (position, (at, record)) in records.enumerated() {
      machine.now = max(machine.now, at)
      machine.apply(record)
      guard case .completed(let task, _, _) = record, let progress = machine.tasks[task]?.progress else { continue }
      summaries[position] = .summarized(task, progress)
    }
    return summaries
  }
}

extension RegionMachine {
  /// See ``Coordinator/summaries(of:id:configuration:)``.
  package static func summaries(
    of records: [(at: Instant, record: Record)], id: NodeID, configuration: CoordinatorConfiguration
  ) -> [Int: Record] {
    let below = records.enumerated().compactMap { position, entry -> (position: Int, at: Instant, record: Coordinator.Record)? in
      guard case .below(let record) = entry.record else { return nil }
      return (position, entry.at, record)
    }
    let summaries = Coordinator.summaries(of: below.map { ($0.at, $0.record) }, id: id, configuration: configuration)
    return Dictionary(uniqueKeysWithValues: summaries.map { (below[$0].position, .below($1)) })
  }
}

extension HistoricRecord {
  /// Whether the history knows the record's task from this record on.
  package var beginsHistory: Bool { history.contains { if case .began = $0 { true } else { false } } }

  /// The changes to a history that does not know the record's round yet: the contributions that the round's record names come first.
  package var wholeHistory: [HistoryChange] {
    history.flatMap { change -> [HistoryChange] in
      guard case .completed(let task, let record) = change else { return [change] }
      let lists = [(Phase.train, record.updates), (.evaluate, record.evaluations)]
      let contributions = lists.flatMap { phase, list in
        list.map { HistoryChange.contributed(ContributionKey(task: task, round: record.round, phase: phase, path: $0.path), $0) }
      }
      return contributions + [change]
    }
  }
}
