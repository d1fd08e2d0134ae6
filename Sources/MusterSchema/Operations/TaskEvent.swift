/// `GET /v1/events`, one element each: a durable change of a task.
///
/// Updates and evaluations of single devices are not events. They are in `/v1/contributions`.
package struct TaskEvent: Codable, Hashable, Sendable {
  package enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
    /// Central accepted the task.
    case accepted
    case paused
    case resumed
    /// A phase opened, or another attempt at it: `round`, `phase`, `attempt`, `needed`.
    case opened
    /// A phase no longer accepts contributions: `round`, `phase`.
    case closed
    /// The strategy left fewer updates than the round needs, so the phase is open again: `round`, `reason`.
    case reopened
    /// A model was published: `round`, which is 0 for the initial model.
    case model
    /// Central evaluated a model: `round`, `metrics`.
    case evaluated
    /// A round ended: `round`, `summary`.
    case round
    /// The task ended: `step`, `reason`.
    case ended
  }

  /// Increases with each event of the server.
  package var number: Int
  package var task: TaskID
  package var kind: Kind
  /// When it happened, in UTC, for people; `nil` for events of version 0.1.0.
  package var at: WallTime?
  package var details: Details

  package struct Details: Codable, Hashable, Sendable {
    package var round: Int?
    package var phase: Phase?
    package var attempt: Int?
    /// Devices whose contributions close the phase.
    package var needed: Int?
    package var metrics: [String: Double]?
    package var step: RoundState.Step?
    package var reason: String?
    package var summary: RoundSummary?

    package init(
      round: Int? = nil, phase: Phase? = nil, attempt: Int? = nil, needed: Int? = nil, metrics: [String: Double]? = nil,
      step: RoundState.Step? = nil, reason: String? = nil, summary: RoundSummary? = nil
    ) {
      self.round = round
      self.phase = phase
      self.attempt = attempt
      self.needed = needed
      self.metrics = metrics
      self.step = step
      self.reason = reason
      self.summary = summary
    }
  }

  package init(number: Int, task: TaskID, kind: Kind, at: WallTime?, details: Details) {
    self.number = number
    self.task = task
    self.kind = kind
    self.at = at
    self.details = details
  }
}

/// The first event of a stream of `GET /v1/events`: the state of the tasks when the stream begins.
package struct EventSnapshot: Codable, Hashable, Sendable {
  /// The requested task, or all running tasks.
  package var tasks: [TaskSummary]
  package var now: [RoundState]

  package init(tasks: [TaskSummary], now: [RoundState]) {
    self.tasks = tasks
    self.now = now
  }
}
