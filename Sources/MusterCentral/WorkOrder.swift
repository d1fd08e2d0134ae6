import MusterCoordination
import MusterSchema

/// One piece of long work with everything that it needs, copied out of the machine.
struct WorkOrder: Sendable {
  struct Key: Hashable, Sendable {
    var kind: Coordinator.Work
    var task: TaskID
    var round: Int
    /// How many contributions it aggregates. A round that was opened again for more of them is aggregated again, while the report of the first
    /// time may still be on its way.
    var contributions = 0
  }

  let key: Key
  let specification: TaskSpecification
  /// The model to evaluate, or the base to aggregate onto.
  let base: Digest?
  /// What the server optimizer remembers from the round that made the base.
  let state: Digest?
  /// The frozen set, sorted by path.
  let contributions: [ContributionRecord]

  /// Whether the contributions are regions', aggregated already.
  var isRegional: Bool { specification.upload == .region }

  init?(_ kind: Coordinator.Work, _ task: TaskID, _ round: Int, _ machine: Coordinator) {
    guard let run = machine.tasks[task], let specification = run.specification else { return nil }
    self.specification = specification
    switch kind {
    case .initialize:
      base = nil
      state = nil
      contributions = []
    case .aggregate:
      guard let frozen = run.frozenUpdates else { return nil }
      base = frozen.base
      state = run.models.last { $0.digest == frozen.base }?.state
      contributions = frozen.contributions
    case .evaluate:
      guard let model = run.models.last(where: { $0.round == round }) else { return nil }
      base = model.digest
      state = nil
      contributions = []
    }
    key = Key(kind: kind, task: task, round: round, contributions: contributions.count)
  }

  /// The fold of a round that is over, for a replay; nil when that round made no model.
  init?(replaying record: RoundRecord, of task: TaskID, _ run: TaskRun) {
    guard record.result != nil, let specification = run.specification else { return nil }
    key = Key(kind: .aggregate, task: task, round: record.round)
    self.specification = specification
    base = record.base
    state = run.models.last { $0.digest == record.base }?.state
    contributions = record.updates
  }
}
