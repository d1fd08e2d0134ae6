import MusterSchema

/// The data for a task's tables and pictures. Its rounds leave out the names of the nodes, which may be thousands.
struct TaskPicture: Hashable, Sendable {
  /// The task. Its `rounds` are not used.
  var detail: TaskDetail
  /// The last completed rounds, in ascending order.
  var rounds: [RoundSummary]

  init(detail: TaskDetail, rounds: [RoundSummary]) {
    self.detail = detail
    self.rounds = rounds
  }

  /// Makes the picture from a complete answer.
  init(_ detail: TaskDetail) { self.init(detail: detail, rounds: detail.rounds.map(RoundSummary.init)) }
}
