/// `GET /v1/tasks/{t}/rounds/{n}/{updates|evaluations}` on the data plane: the state of a phase in the ledger, for scouts and participants.
package struct PhaseLedger: Codable, Hashable, Sendable {
  package var task: TaskID
  package var round: Int
  package var phase: Phase
  package var open: Bool
  package var accepted: [NodePath]

  package init(task: TaskID, round: Int, phase: Phase, open: Bool, accepted: [NodePath]) {
    self.task = task
    self.round = round
    self.phase = phase
    self.open = open
    self.accepted = accepted
  }
}
