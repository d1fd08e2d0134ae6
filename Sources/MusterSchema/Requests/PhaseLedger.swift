/// `GET /v1/tasks/{t}/rounds/{n}/{updates|evaluations}` on the data plane: what the ledger has, for scouts and participants.
public struct PhaseLedger: Codable, Hashable, Sendable {
  public var task: TaskID
  public var round: Int
  public var phase: Phase
  public var open: Bool
  public var accepted: [NodePath]

  public init(task: TaskID, round: Int, phase: Phase, open: Bool, accepted: [NodePath]) {
    self.task = task
    self.round = round
    self.phase = phase
    self.open = open
    self.accepted = accepted
  }
}
