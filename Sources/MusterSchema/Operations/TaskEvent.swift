/// `GET /v1/events`, one element each: something that became durable in a task. Updates and evaluations of single devices are not among them:
/// they are in `/v1/contributions`.
package struct TaskEvent: Codable, Hashable, Sendable {
  package enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
    /// Central accepted the task.
    case accepted
    case paused
    case resumed
    /// A phase opened, or a further attempt at it: `round`, `phase`, `attempt`, `needed`.
    case opened
    /// A phase takes nothing more: `round`, `phase`.
    case closed
    /// The strategy left fewer updates than the round needs, and the phase is open again: `round`, `reason`.
    case reopened
    /// A model was made: `round`; 0 is the initial one.
    case model
    /// Central evaluated a model: `round`, `metrics`.
    case evaluated
    /// A round is over: `round`, `summary`.
    case round
    /// The task ended: `step`, `reason`.
    case ended
  }

  /// Grows with each event of the server.
  package var number: Int
  package var task: TaskID
  package var kind: Kind
  /// In UTC, for people; nil for events of version 0.1.0.
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

/// The first event of a stream of `GET /v1/events`: how things stand when it begins.
package struct EventSnapshot: Codable, Hashable, Sendable {
  /// The task that was asked for, or all that go on.
  package var tasks: [TaskSummary]
  package var now: [RoundState]

  package init(tasks: [TaskSummary], now: [RoundState]) {
    self.tasks = tasks
    self.now = now
  }
}
