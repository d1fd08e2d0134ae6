/// `GET /v1/tasks`, one element each.
package struct TaskSummary: Codable, Hashable, Sendable {
  package var task: TaskID
  package var name: String
  package var step: RoundState.Step
  package var round: Int
  package var rounds: Int
  package var attempt: Int
  package var regions: [NodeID]
  /// Metrics of the newest evaluation, central's or the devices'.
  package var metrics: [String: Double]?
  /// The metric among them by which the task's models are compared.
  package var metric: String?
  /// What the task waits for, or why it ended.
  package var why: String
  /// When central accepted the task, in UTC, for people; `nil` for a task of version 0.1.0.
  package var pushed: WallTime?
  /// When the task ended.
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

/// `GET /v1/tasks/{task}`: a task with its rounds and models.
package struct TaskDetail: Codable, Hashable, Sendable {
  package var summary: TaskSummary
  package var revision: Int
  package var specification: TaskSpecification
  /// The current state.
  package var now: RoundState
  /// The finished rounds, or only the last of them if the request asked for that.
  package var rounds: [RoundRecord]
  /// Number of finished rounds.
  package var roundsEnded: Int
  /// The models of all rounds, or only the bases and results of `rounds`.
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
