/// `GET /v1/tasks`, one element each.
package struct TaskSummary: Codable, Hashable, Sendable {
  package var task: TaskID
  package var name: String
  package var step: RoundState.Step
  package var round: Int
  package var rounds: Int
  package var attempt: Int
  package var regions: [NodeID]
  /// The newest evaluation's, central's or the devices'.
  package var metrics: [String: Double]?
  /// Which of them the task's models are compared by.
  package var metric: String?
  /// What it waits for, or why it ended.
  package var why: String
  /// When central accepted it, in UTC, for people; nil for a task of version 0.1.0.
  package var pushed: WallTime?
  /// When it ended.
  package var ended: WallTime?

  package init(
    task: TaskID, name: String, step: RoundState.Step, round: Int, rounds: Int, attempt: Int, regions: [NodeID],
    metrics: [String: Double]?, metric: String? = nil, why: String
  ) {
    self.task = task
    self.name = name
    self.step = step
    self.round = round
    self.rounds = rounds
    self.attempt = attempt
    self.regions = regions
    self.metrics = metrics
    self.metric = metric
    self.why = why
  }
}

/// `GET /v1/tasks/{task}`.
package struct TaskDetail: Codable, Hashable, Sendable {
  package var summary: TaskSummary
  package var revision: Int
  package var specification: TaskSpecification
  /// What happens now.
  package var now: RoundState
  /// The rounds that have ended, or the last of them when only these were asked for.
  package var rounds: [RoundRecord]
  /// How many have ended.
  package var roundsEnded: Int
  /// The models of all rounds, or those that `rounds` began or ended with.
  package var models: [ModelCheckpoint]

  package init(
    summary: TaskSummary, revision: Int, specification: TaskSpecification, now: RoundState, rounds: [RoundRecord], roundsEnded: Int,
    models: [ModelCheckpoint]
  ) {
    self.summary = summary
    self.revision = revision
    self.specification = specification
    self.now = now
    self.rounds = rounds
    self.roundsEnded = roundsEnded
    self.models = models
  }
}
