/// One change to what a coordinator keeps for good: its tasks, their rounds and models, and what became of each contribution and invitation.
///
/// A store makes the changes in the transaction of the records that they follow from, and adds the time of day. Nothing in the protocol waits
/// for the history of a round in progress; questions about rounds that are over are answered from it.
package enum HistoryChange: Hashable, Sendable {
  /// Central accepted a task, or a region heard of one.
  ///
  /// - Parameter isOver: the first that a region heard was the task's end. If it was not, history of a retired task with the same id belongs to
  ///   another one, and is removed.
  case began(TaskID, name: String, specification: TaskSpecification?, isOver: Bool)
  /// A contribution was accepted. Its round decides about it later.
  case contributed(ContributionKey, ContributionRecord)
  case published(TaskID, ModelCheckpoint)
  /// Central's evaluation of a model.
  case evaluated(TaskID, round: Int, metrics: [String: Double])
  /// A round is over, or at a region a phase of it. What the two phases of one round say is added up.
  case completed(TaskID, RoundRecord)
  /// Nodes that were invited and did not deliver, at a region that only recruits.
  case missed(TaskID, round: Int, Phase, [Waiting])
  /// Of a task's models and updates these alone are still kept as blobs.
  case retained(TaskID, RetainedModels, updatesSince: Int)
  case ended(TaskID, RoundState.Step, reason: String)
  /// Something to be told of that changes no other row.
  case happened(TaskID, TaskEvent.Kind, TaskEvent.Details)
  /// A task left the memory of the coordinator, a day after its end.
  case retired(TaskID, RetiredTask?)
  /// The history of the task is removed.
  case forgotten(TaskID)

  package var task: TaskID {
    switch self {
    case .began(let task, _, _, _), .published(let task, _), .evaluated(let task, _, _), .completed(let task, _),
      .missed(let task, _, _, _), .retained(let task, _, _), .ended(let task, _, _), .happened(let task, _, _), .retired(let task, _),
      .forgotten(let task):
      task
    case .contributed(let key, _): key.task
    }
  }
}

extension HistoryChange {
  /// The event that the change is, for people who follow the task; nil when it is none of its own.
  package var event: (kind: TaskEvent.Kind, details: TaskEvent.Details)? {
    switch self {
    case .began: (.accepted, TaskEvent.Details())
    case .published(_, let model): (.model, TaskEvent.Details(round: model.round))
    case .evaluated(_, let round, let metrics): (.evaluated, TaskEvent.Details(round: round, metrics: metrics))
    case .completed(_, let record): (.round, TaskEvent.Details(round: record.round, summary: RoundSummary(record)))
    case .ended(_, let step, let reason): (.ended, TaskEvent.Details(step: step, reason: reason))
    case .happened(_, let kind, let details): (kind, details)
    case .contributed, .missed, .retained, .retired, .forgotten: nil
    }
  }
}

/// Which of a task's models retention keeps.
package struct RetainedModels: Hashable, Sendable {
  /// Models of this round and later rounds are kept.
  package var since: Int
  /// Rounds of earlier models that are kept: the initial one and the best.
  package var earlier: [Int]

  package init(since: Int, earlier: [Int]) {
    self.since = since
    self.earlier = earlier
  }

  package static let none = RetainedModels(since: .max, earlier: [])

  package func contains(_ round: Int) -> Bool { round >= since || earlier.contains(round) }
}
