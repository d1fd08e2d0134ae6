import MusterSchema

/// What the tables and pictures of a task are made of. Its rounds come without the names of the nodes that took part: these may be thousands.
struct TaskPicture: Hashable, Sendable {
  /// The task; its `rounds` are not looked at.
  var detail: TaskDetail
  /// The last rounds that are over, in their order.
  var rounds: [RoundSummary]

  init(detail: TaskDetail, rounds: [RoundSummary]) {
    self.detail = detail
    self.rounds = rounds
  }

  /// Of a whole answer.
  init(_ detail: TaskDetail) { self.init(detail: detail, rounds: detail.rounds.map(RoundSummary.init)) }
}
