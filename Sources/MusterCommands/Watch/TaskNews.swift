import MusterSchema
import MusterTransfer

/// An event about one task from central's stream of events.
enum TaskNews: Sendable {
  /// The current state. Earlier events are not included and have to be requested.
  case snapshot(RoundState, id: String?)
  case now(RoundState)
  /// A change that was made durable.
  case record(TaskEvent, id: String?)

  /// `nil` for an event that this version does not know.
  init?(_ event: ServerSentEvent) throws(CommandError) {
    do {
      let data = Array(event.data.utf8)
      switch event.name {
      case "snapshot":
        guard let now = try JSON.decode(EventSnapshot.self, from: data).now.first else { return nil }
        self = .snapshot(now, id: event.id)
      case "now": self = .now(try JSON.decode(RoundState.self, from: data))
      case "record": self = .record(try JSON.decode(TaskEvent.self, from: data), id: event.id)
      default: return nil
      }
    } catch {
      throw CommandError(.unexpected, "central's event \(event.name.shown(40)) cannot be decoded: \(error)")
    }
  }

  /// The id for `Last-Event-ID`.
  var id: String? {
    switch self {
    case .snapshot(_, let id), .record(_, let id): id
    case .now: nil
    }
  }
}

extension TaskPicture {
  /// Adds the change of an event.
  ///
  /// - Returns: whether the picture changed.
  mutating func add(_ event: TaskEvent) -> Bool {
    guard event.kind == .round, let summary = event.details.summary, summary.round > rounds.last?.round ?? 0 else { return false }
    rounds = (rounds + [summary]).suffix(TaskWatcher.shownRounds)
    detail.roundsEnded = max(detail.roundsEnded, summary.round)
    return true
  }
}
