package import MusterCoordination
package import MusterParticipation
import MusterSchema
package import MusterStorage

extension Store {
  /// Reads a machine's records at a start, in order.
  ///
  /// A journal of an earlier version is first rewritten in this version's form, and the history is filled from it, in one transaction.
  ///
  /// - Parameter summaries: the additional records that this version would have written, by the position of the record that each follows.
  package func restore<R: HistoricRecord>(
    _: R.Type, machine: String, summaries: ([(at: Instant, record: R)]) -> [Int: R]
  ) async throws(StorageError) -> [(at: Instant, record: R)] {
    let entries = try await entries(machine: machine)
    var records: [(at: Instant, record: R)] = []
    for entry in entries { records.append((Instant(milliseconds: entry.at), try entry.record(R.self))) }
    guard try await isFromBeforeTheHistory(records.map(\.record)) else { return records }
    let added = summaries(records)
    var transaction = StoreTransaction()
    transaction.replacing = Set(entries.map(\.task)).map { JournalRange(machine: machine, task: $0) }
    var kept: [(at: Instant, record: R)] = []
    // Version 0.1.0 left records of tasks that it had forgotten in the same batch.
    var known: Set<TaskID> = []
    for (position, entry) in records.enumerated() {
      for record in [entry.record, added[position]].compactMap({ $0 }) {
        let time = StampedChange.Time.earlier(entries[position].committed)
        if record.beginsHistory { known.insert(record.task) }
        if known.contains(record.task) { transaction.changes += record.wholeHistory.map { StampedChange($0, at: time) } }
        kept.removeAll { $0.record.task == record.task && record.supersedes.contains($0.record.kind) }
        if record.isJournaled { kept.append((entry.at, record)) }
      }
    }
    for (at, record) in kept { transaction.entries.append(try JournalEntry(record, machine: machine, at: at)) }
    try await commit(transaction)
    return kept
  }

  /// Whether the journal has a task that the history does not have.
  private func isFromBeforeTheHistory(_ records: [some HistoricRecord]) async throws(StorageError) -> Bool {
    for record in records where record.beginsHistory {
      if try await task(record.task) == nil { return true }
    }
    return false
  }
}
