package import MusterCoordination
internal import MusterSchema

/// A device's disk: the agent's journal, replaced as a whole and synced only when a result has to wait, and the results.
package struct DeviceDisk {
  package typealias Entry = (at: Instant, record: Participant.Record)

  struct Result {
    var digest: Digest
    var isSynced: Bool
  }

  package private(set) var journal: [Entry] = []
  private(set) var kept: [Entry] = []
  private(set) var lastInstant = Instant.zero
  private var synced: (kept: [Entry], lastInstant: Instant) = ([], .zero)
  private(set) var results: [String: Result] = [:]
  var isFailing = false

  mutating func commit(_ records: [Participant.Record], at now: Instant) {
    guard !isFailing else { return }
    for record in records {
      let superseded = record.supersedes
      kept.removeAll { $0.record.task == record.task && superseded.contains($0.record.kind) }
      kept.append((now, record))
      journal.append((now, record))
    }
    lastInstant = now
  }

  mutating func store(_ name: String, _ digest: Digest) { results[name] = Result(digest: digest, isSynced: false) }
  mutating func remove(_ name: String) { results[name] = nil }

  /// A result has to wait: the disk shall hold it, and what leads to it.
  mutating func secure(_ name: String) {
    results[name]?.isSynced = true
    synced = (kept, lastInstant)
  }

  /// What was not synced is gone, or some of it.
  mutating func losePower(_ random: inout Generator) {
    guard random.chance(0.7) else { return }
    (kept, lastInstant) = synced
    for name in results.keys.sorted() where results[name]?.isSynced == false && random.chance(0.7) { results[name] = nil }
  }

  mutating func removeOrphans(except known: Set<String>) { results = results.filter { known.contains($0.key) } }

  mutating func forgetEverything() { self = DeviceDisk() }
}
