/// `GET /v1/tasks/{task}/why`: what the task waits for.
package struct Explanation: Codable, Hashable, Sendable {
  package var task: TaskID
  /// A sentence that says what the task waits for.
  package var sentence: String
  package var waiting: [Waiting]
  /// Nodes with which something went wrong in this round so far.
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
