/// `GET /v1/tasks`, one element each.
public struct TaskSummary: Codable, Hashable, Sendable {
  public var task: TaskID
  public var name: String
  public var step: RoundState.Step
  public var round: Int
  public var rounds: Int
  public var attempt: Int
  public var regions: [NodeID]
  /// The newest evaluation's, central's or the devices'.
  public var metrics: [String: Double]?
  /// Which of them the task's models are compared by.
  public var metric: String?
  /// What it waits for, or why it ended.
  public var why: String
  /// When central accepted it, in UTC, for people; nil for a task of version 0.1.0.
  public var pushed: WallTime?
  /// When it ended.
  public var ended: WallTime?

  public init(
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
public struct TaskDetail: Codable, Hashable, Sendable {
  public var summary: TaskSummary
  public var revision: Int
  public var specification: TaskSpecification
  /// What happens now.
  public var now: RoundState
  /// The rounds that have ended, or the last of them when only these were asked for.
  public var rounds: [RoundRecord]
  /// How many have ended.
  public var roundsEnded: Int
  /// The models of all rounds, or those that `rounds` began or ended with.
  public var models: [ModelCheckpoint]

  public init(
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
