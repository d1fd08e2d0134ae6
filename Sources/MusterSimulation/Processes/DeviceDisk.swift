internal import MusterCoordination
package import MusterParticipation
internal import MusterSchema

/// A device's disk: results, and the agent's journal, which is replaced as a whole and synced only when a result has to wait.
package struct DeviceDisk {
  package typealias Entry = (at: Instant, record: Participant.Record)

  struct Result {
    var digest: Digest
    var isSynced: Bool
  }

  package private(set) var journal: [Entry] = []
  private var memory = ParticipantMemory()
  private(set) var lastInstant = Instant.zero
  private var synced = (memory: ParticipantMemory(), lastInstant: Instant.zero)
  private(set) var results: [String: Result] = [:]
  var isFailing = false

  /// The records that a start finds.
  var kept: [Entry] { memory.records }

  mutating func commit(_ records: [Participant.Record], at now: Instant) {
    guard !isFailing else { return }
    memory.commit(records, at: now)
    journal += records.map { (now, $0) }
    lastInstant = now
  }

  mutating func store(_ name: String, _ digest: Digest) { results[name] = Result(digest: digest, isSynced: false) }
  mutating func remove(_ name: String) { results[name] = nil }

  /// A result has to wait for its delivery: syncs it, together with the journal.
  mutating func secure(_ name: String) {
    results[name]?.isSynced = true
    synced = (memory, lastInstant)
  }

  /// Loses some or all of what was not synced, or nothing.
  mutating func losePower(_ random: inout Generator) {
    guard random.chance(0.7) else { return }
    (memory, lastInstant) = synced
    for name in results.keys.sorted() where results[name]?.isSynced == false && random.chance(0.7) { results[name] = nil }
  }

  mutating func removeOrphans(except known: Set<String>) { results = results.filter { known.contains($0.key) } }

  mutating func forgetEverything() { self = DeviceDisk() }
}
