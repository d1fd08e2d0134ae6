/// `muster/v1/{c}/tasks/{task}/round`: the window for people: what happens now, and what it waits for. At most once a second.
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
  /// How many nodes (at central: regions) are in which state.
  package var counts: [String: Int]
  /// Contributions that close the phase; while recruiting: devices that open it.
  package var needed: Int
  /// Contributions accepted; while recruiting: devices ready. At a scout: devices done, as they say.
  package var have: Int
  /// Until the deadline, when this was written.
  package var closesInSeconds: Double?
  /// What it waits for, in a sentence.
  package var why: String
  /// At most five of those that it waits for.
  package var waiting: [Waiting]
  /// How many more.
  package var more: Int
  /// The last evaluated model's.
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
