import MusterCoordination
import MusterDataPlane
import MusterRuntime
import MusterSchema
import MusterStorage

/// Central as the ledger of every round: admits, counts, says what it has.
extension Central: Ledger {
  func admission(_ key: ContributionKey, ticket: Ticket?) async -> ContributionAdmission {
    let machine = await shell.machine
    guard let run = machine.tasks[key.task], let specification = run.specification else {
      return .unknown
    }
    let expected = Grant(secret: store.secretKey, task: key.task).descendant(key.path)
      .ticket(task: key.task, round: key.round, phase: key.phase)
    guard let ticket else { return .refused("the upload carries no ticket: it comes with the invitation, as Authorization: Bearer") }
    guard ticket == expected else { return .refused("the ticket does not admit this contribution") }
    if let earlier = run.accepted(round: key.round, phase: key.phase, path: key.path) { return .accepted(earlier.digest) }
    if let why = machine.refusal(run, round: key.round, phase: key.phase) { return .closed(why) }
    guard let base = run.ledger(round: key.round, phase: key.phase)?.base else { return .closed("the round is not open") }
    return .open(base: base, maximumWeight: specification.maximumWeight, maximumBytes: configuration.maximumBytes)
  }

  func accept(_ offer: ContributionOffer) async -> Acceptance {
    let record = ContributionRecord(
      path: offer.key.path, digest: offer.digest, weight: offer.weight, bytes: offer.bytes, metrics: offer.metrics)
    let outcome = await performer.offer(record, task: offer.key.task, round: offer.key.round, phase: offer.key.phase, to: shell.mailbox)
    switch outcome {
    case .answered(.stored): return .stored
    case .answered(.same): return .same
    case .answered(.conflict): return .conflict
    case .answered(.closed(let why)): return .closed(why)
    case .answered(.unknown): return .unknown
    case .failed(let error): return error.isDiskFull ? .full : .unavailable
    case .busy: return .unavailable
    }
  }

  func phaseLedger(task: TaskID, round: Int, phase: Phase) async -> PhaseLedger? {
    let machine = await shell.machine
    guard let run = machine.tasks[task] else { return nil }
    let current = run.ledger(round: round, phase: phase)
    return PhaseLedger(
      task: task, round: round, phase: phase, open: machine.refusal(run, round: round, phase: phase) == nil,
      accepted: current?.accepted.map(\.path) ?? run.records.last { $0.round == round }?.paths(phase) ?? [])
  }
}

extension RoundRecord {
  fileprivate func paths(_ phase: Phase) -> [NodePath] { (phase == .train ? updates : evaluations).map(\.path) }
}

extension Central: BlobSource {
  func locate(_ digest: Digest) async throws(Problem) -> String {
    guard let path = store.path(of: digest) else {
      throw Problem(status: 404, title: "Unknown blob", detail: "central holds no blob \(digest): it never did, or retention collected it")
    }
    return path
  }
}
