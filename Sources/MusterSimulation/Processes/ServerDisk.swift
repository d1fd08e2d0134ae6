package import MusterCoordination
package import MusterParticipation

/// A server's disk: the journal of its machine, and how commits go.
///
/// A commit is one synced transaction: after a crash either all of it is there or nothing.
package struct ServerDisk<Record: HistoricRecord> {
  package typealias Entry = (at: Instant, record: Record)

  /// Every record that was ever committed, for tests and the auditor.
  package private(set) var journal: [Entry] = []
  /// What the store keeps permanently.
  package private(set) var history = History()
  /// The journal as a store keeps it, without the records that later ones replaced.
  package private(set) var kept: [Entry] = []
  /// The machine's time at the last commit.
  package private(set) var lastInstant = Instant.zero
  /// Whether commits fail, as on a full disk.
  var isFailing = false
  /// Milliseconds that a commit takes.
  var latency: ClosedRange<Int64> = 1...3

  /// Used only with a planted bug: the state to which a loss of power returns.
  private var synced: (kept: [Entry], history: History, lastInstant: Instant)?

  mutating func commit(_ records: [Record], at now: Instant, alsoSuperseding: (Record) -> [String] = { _ in [] }) {
    for record in records {
      let superseded = record.supersedes + alsoSuperseding(record)
      if !superseded.isEmpty { kept.removeAll { $0.record.task == record.task && superseded.contains($0.record.kind) } }
      journal.append((now, record))
      if record.isJournaled { kept.append((now, record)) }
      for change in record.history { history.apply(change) }
    }
    lastInstant = max(lastInstant, now)
  }

  mutating func forgetEverything() {
    journal = []
    kept = []
    history = History()
    lastInstant = .zero
  }

  // MARK: With a planted bug

  mutating func sync() { synced = (kept, history, lastInstant) }
  mutating func losePower() {
    guard let synced else { return }
    (kept, history, lastInstant) = synced
  }
}
