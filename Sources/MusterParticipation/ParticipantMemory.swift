/// The records that a device keeps across restarts, oldest first. Bounded, because a device takes part in tasks over years.
package struct ParticipantMemory: Sendable {
  private struct Entry: Codable {
    var at: Instant
    var record: Participant.Record
  }

  private var entries: [Entry] = []

  /// Maximum number of ended tasks that are remembered. The newest are kept.
  private static let endedTasks = 16

  package init() {}

  package var records: [(at: Instant, record: Participant.Record)] { entries.map { ($0.at, $0.record) } }

  /// Adds records in order. Each replaces the earlier records that it supersedes.
  package mutating func commit(_ records: [Participant.Record], at now: Instant) {
    for record in records {
      let superseded = record.supersedes
      entries.removeAll { $0.record.task == record.task && superseded.contains($0.record.kind) }
      entries.append(Entry(at: now, record: record))
    }
    let unfinished = Set(entries.compactMap { $0.record.isEnd ? nil : $0.record.task })
    var surplus = entries.count { !unfinished.contains($0.record.task) } - Self.endedTasks
    entries.removeAll { entry in
      guard surplus > 0, !unfinished.contains(entry.record.task) else { return false }
      surplus -= 1
      return true
    }
  }
}

/// Encoded as an array of records with their times.
extension ParticipantMemory: Codable {
  package init(from decoder: any Decoder) throws { entries = try [Entry](from: decoder) }
  package func encode(to encoder: any Encoder) throws { try entries.encode(to: encoder) }
}

extension Participant.Record {
  fileprivate var isEnd: Bool {
    switch self {
    case .delivered, .dropped: true
    case .taken, .ready: false
    }
  }
}
