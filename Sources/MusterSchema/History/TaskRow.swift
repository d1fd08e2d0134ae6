/// The last summary and state of a task, stored when the task leaves central's memory.
package struct RetiredTask: Codable, Hashable, Sendable {
  package var summary: TaskSummary
  package var now: RoundState
  package var revision: Int

  package init(summary: TaskSummary, now: RoundState, revision: Int) {
    self.summary = summary
    self.now = now
    self.revision = revision
  }
}

/// A task in the history.
package struct TaskRow: Hashable, Sendable {
  /// Increases with each task.
  package var number: Int
  package var id: TaskID
  package var name: String
  /// `nil` at a region.
  package var specification: TaskSpecification?
  /// When the task was accepted; `nil` for tasks of version 0.1.0.
  package var began: WallTime?
  /// How the task ended; `nil` while it runs.
  package var step: RoundState.Step?
  package var reason: String?
  package var ended: WallTime?
  /// Number of finished rounds.
  package var rounds: Int
  package var retired: RetiredTask?

  package init(
    number: Int, id: TaskID, name: String, specification: TaskSpecification?, began: WallTime?, step: RoundState.Step?, reason: String?,
    ended: WallTime?, rounds: Int, retired: RetiredTask?
  ) {
    self.number = number
    self.id = id
    self.name = name
    self.specification = specification
    self.began = began
    self.step = step
    self.reason = reason
    self.ended = ended
    self.rounds = rounds
    self.retired = retired
  }
}
