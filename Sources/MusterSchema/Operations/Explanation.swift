/// `GET /v1/tasks/{task}/why`.
package struct Explanation: Codable, Hashable, Sendable {
  package var task: TaskID
  /// What the task waits for, in a sentence.
  package var sentence: String
  package var waiting: [Waiting]
  /// What went wrong in this round so far.
  package var troubles: [Waiting]
  package var closesInSeconds: Double?

  package init(task: TaskID, sentence: String, waiting: [Waiting], troubles: [Waiting], closesInSeconds: Double?) {
    self.task = task
    self.sentence = sentence
    self.waiting = waiting
    self.troubles = troubles
    self.closesInSeconds = closesInSeconds
  }
}
