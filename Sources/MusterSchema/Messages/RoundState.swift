/// `muster/v1/{c}/tasks/{task}/round`: the window for people: what happens now, and what it waits for. At most once a second.
public struct RoundState: Message {
  public static var kind: String { "round-state" }

  public enum Step: String, Codable, CaseIterable, Sendable {
    case initializing, recruiting, training, aggregating, evaluating, paused, completed, failed, cancelled

    public var isFinal: Bool { self == .completed || self == .failed || self == .cancelled }
  }

  public var task: TaskID
  public var step: Step
  public var round: Int
  public var rounds: Int
  public var attempt: Int
  /// How many nodes (at central: regions) are in which state.
  public var counts: [String: Int]
  /// Contributions that close the phase; while recruiting: devices that open it.
  public var needed: Int
  /// Contributions accepted; while recruiting: devices ready. At a scout: devices done, as they say.
  public var have: Int
  /// Until the deadline, when this was written.
  public var closesInSeconds: Double?
  /// What it waits for, in a sentence.
  public var why: String
  /// At most five of those that it waits for.
  public var waiting: [Waiting]
  /// How many more.
  public var more: Int
  /// The last evaluated model's.
  public var metrics: [String: Double]?

  public init(
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
