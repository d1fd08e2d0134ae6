import MusterSchema
import MusterTransfer

/// What central's stream of events tells of one task.
enum TaskNews: Sendable {
  /// What happens now; what happened before is to be asked for.
  case snapshot(RoundState, id: String?)
  case now(RoundState)
  /// Something became durable.
  case record(TaskEvent, id: String?)

  /// Nil for events that this version does not know.
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
      throw CommandError(.unexpected, "central's event \(event.name.shown(40)) is not understood: \(error)")
    }
  }

  /// For `Last-Event-ID`.
  var id: String? {
    switch self {
    case .snapshot(_, let id), .record(_, let id): id
    case .now: nil
    }
  }
}

extension TaskPicture {
  /// Adds what an event says.
  ///
  /// - Returns: whether that changed anything.
  mutating func add(_ event: TaskEvent) -> Bool {
    guard event.kind == .round, let summary = event.details.summary, summary.round > rounds.last?.round ?? 0 else { return false }
    rounds = (rounds + [summary]).suffix(TaskWatcher.shownRounds)
    detail.roundsEnded = max(detail.roundsEnded, summary.round)
    return true
  }
}
