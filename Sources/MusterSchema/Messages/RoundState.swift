/// `muster/v1/{c}/tasks/{task}/round`: the progress of a task for people, with what it waits for. Published at most once a second.
package struct RoundState: Message {
  package static var kind: String { "round-state" }

  package enum Step: String, Codable, CaseIterable, Sendable {
    case initializing, recruiting, training, aggregating, evaluating, paused, completed, failed, cancelled

    package var isFinal: Bool { self == .completed || self == .failed || self == .cancelled }
  }

  package var task: TaskID
  package var step: Step
  package var round: Int
  package var rounds: Int
  package var attempt: Int
  /// Number of nodes (at central: regions) in each state.
  package var counts: [String: Int]
  /// Contributions that close the phase; while recruiting, ready devices that open it.
  package var needed: Int
  /// Contributions accepted; while recruiting, devices that are ready; at a scout, devices that are working or done.
  package var have: Int
  /// Seconds until the deadline when this was written.
  package var closesInSeconds: Double?
  /// A sentence that says what the task waits for.
  package var why: String
  /// Up to five of the nodes that the task waits for.
  package var waiting: [Waiting]
  /// Number of further nodes that the task waits for.
  package var more: Int
  /// Metrics of the model that was evaluated last.
  package var metrics: [String: Double]?

  package init(
    task: TaskID, step: Step, round: Int, rounds: Int, attempt: Int, counts: [String: Int], needed: Int, have: Int,
    closesInSeconds: Double?, why: String, waiting: [Waiting], more: Int, metrics: [String: Double]?
  ) {
    self.task = task
    self.step = step
    self.round = round
    self.rounds = rounds
    self.attempt = attempt
    self.counts = counts
    self.needed = needed
    self.have = have
    self.closesInSeconds = closesInSeconds
    self.why = why
    self.waiting = waiting
    self.more = more
    self.metrics = metrics
  }
}
