/// `POST /v1/tasks/{task}/rounds/{round}/replay`: a round's model, computed again from what is stored.
package struct ReplayReport: Codable, Hashable, Sendable {
  package var task: TaskID
  package var round: Int
  package var recorded: Digest
  /// Nil when something that it needs was collected.
  package var computed: Digest?
  /// The inputs that retention has taken.
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
