/// `POST /v1/tasks/{task}/rounds/{round}/replay`: a round's model, computed again from what is stored.
package struct ReplayReport: Codable, Hashable, Sendable {
  package var task: TaskID
  package var round: Int
  package var recorded: Digest
  /// `nil` if retention has removed an input of the computation.
  package var computed: Digest?
  /// The inputs that retention has removed.
  package var collected: [String]

  package init(task: TaskID, round: Int, recorded: Digest, computed: Digest?, collected: [String]) {
    self.task = task
    self.round = round
    self.recorded = recorded
    self.computed = computed
    self.collected = collected
  }

  package var isSame: Bool { computed == recorded }
}
