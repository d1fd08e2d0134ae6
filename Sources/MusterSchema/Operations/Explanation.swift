/// `GET /v1/tasks/{task}/why`.
public struct Explanation: Codable, Hashable, Sendable {
  public var task: TaskID
  /// What the task waits for, in a sentence.
  public var sentence: String
  public var waiting: [Waiting]
  /// What went wrong in this round so far.
  public var troubles: [Waiting]
  public var closesInSeconds: Double?

  public init(task: TaskID, sentence: String, waiting: [Waiting], troubles: [Waiting], closesInSeconds: Double?) {
    self.task = task
    self.sentence = sentence
    self.waiting = waiting
    self.troubles = troubles
    self.closesInSeconds = closesInSeconds
  }
}
