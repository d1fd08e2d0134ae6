/// One change to the history of a coordinator: its tasks, their rounds and models, and the fate of each contribution and invitation.
///
/// The history is permanent. A store makes a change in the transaction of the record that it follows from, and adds the time of day. The
/// protocol never reads the history of a round in progress; questions about finished rounds are answered from it.
package enum HistoryChange: Hashable, Sendable {
  /// Central accepted a task, or a region received its descriptor.
  ///
  /// - Parameter isOver: whether the first descriptor that a region received was that of an ended task. If it is false, and the history has
  ///   a retired task with the same id, that was another task, and its history is removed.
  case began(TaskID, name: String, specification: TaskSpecification?, isOver: Bool)
  /// A contribution was accepted. Its fate is decided later in the round.
  case contributed(ContributionKey, ContributionRecord)
  case published(TaskID, ModelCheckpoint)
  /// Central's evaluation of a model.
  case evaluated(TaskID, round: Int, metrics: [String: Double])
  /// A round ended, or at a region one of its phases. The records of both phases of a round are merged.
  case completed(TaskID, RoundRecord)
  /// At a region that only recruits: nodes that were invited and did not deliver.
  case missed(TaskID, round: Int, Phase, [Waiting])
  /// Only these models and updates of a task are still kept as blobs.
  case retained(TaskID, RetainedModels, updatesSince: Int)
  case ended(TaskID, RoundState.Step, reason: String)
  /// An event to report that changes no other row.
  case happened(TaskID, TaskEvent.Kind, TaskEvent.Details)
  /// A task left the coordinator's memory, a day after its end.
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
  /// The event that reports this change to people who follow the task; `nil` if the change is not reported.
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

/// The models of a task that retention keeps.
package struct RetainedModels: Hashable, Sendable {
  /// Models of this round and of later rounds are kept.
  package var since: Int
  /// Rounds of the earlier models that are also kept: the initial and the best model.
  package var earlier: [Int]

  package init(since: Int, earlier: [Int]) {
    self.since = since
    self.earlier = earlier
  }

  package static let none = RetainedModels(since: .max, earlier: [])

  package func contains(_ round: Int) -> Bool { round >= since || earlier.contains(round) }
}
