import MusterParticipation
package import MusterSchema

/// Whether an upload may begin, from its headers alone.
package enum Entry: Hashable, Sendable {
  case unknown
  /// A wrong ticket, or a path that has nothing to contribute here.
  case refused(String)
  case closed(String)
  /// The ticket is right, and the phase is over: the history knows whether the path counted in it.
  case past(String)
  /// The path already counts, with these bytes.
  case accepted(Digest)
  case open(base: Digest)
}

// A ledger's door: asked before a body is read. What may enter is decided again when the machine is handed the contribution.
extension Coordinator {
  /// - Parameters:
  ///   - path: who the upload says that it is from.
  ///   - grant: what the ticket of a path derives from; nil when that is not known here (any more).
  package func entry(
    _ task: TaskID, round: Int, phase: Phase, path: NodePath, ticket: Ticket?, grant: (TaskRun, NodePath) -> Grant?
  ) -> Entry {
    guard let run = tasks[task], run.isLedger else { return .unknown }
    guard let ticket else { return .refused("the upload carries no ticket: it comes with the invitation, as Authorization: Bearer") }
    guard let grant = grant(run, path) else { return .closed("round \(round) is not open here") }
    guard ticket == grant.ticket(task: task, round: round, phase: phase) else {
      return .refused("the ticket does not admit this contribution")
    }
    if let earlier = known(run, round: round, phase: phase, path: path) {
      return configuration.faults.contains(.repeatsAreRefused) ? .closed("the round is closed") : .accepted(earlier)
    }
    if let why = stranger(path, run) { return .refused(why) }
    if let why = refusal(run, round: round, phase: phase) { return .past(why) }
    guard let base = run.base(round: round, phase: phase) else { return .closed("the round is not open") }
    return .open(base: base)
  }
}

extension Coordinator {
  /// Whether this coordinator counts contributions of the task.
  package func isLedger(of task: TaskID) -> Bool { tasks[task]?.isLedger ?? false }

  /// The contributions that a phase in progress has accepted, and whether it takes more.
  ///
  /// - Returns: nil when the phase is over, or this coordinator does not count contributions of the task.
  package func phaseLedger(_ task: TaskID, round: Int, phase: Phase) -> PhaseLedger? {
    guard let run = tasks[task], run.isLedger, let accepted = run.ledger(round: round, phase: phase)?.accepted else { return nil }
    return PhaseLedger(
      task: task, round: round, phase: phase, open: refusal(run, round: round, phase: phase) == nil, accepted: accepted.map(\.path))
  }
}

extension TaskRun {
  /// At a region that aggregates: what a device's ticket derives from.
  package func grant(of path: NodePath) -> Grant? { path.nodes.count == 2 ? grant?.child(path.nodes[1]) : nil }
}

extension Invitation {
  /// As it is sent: with the ticket of the node that it goes to, and for a scout the grant that its devices' tickets derive from. The
  /// machine holds no secrets.
  ///
  /// - Parameter grant: the inviting coordinator's.
  package func admitting(_ node: NodeID, by grant: Grant, asScout isScout: Bool) -> Invitation {
    var invitation = self
    let own = grant.child(node)
    invitation.ticket = own.ticket(task: task, round: round, phase: phase)
    invitation.grant = isScout ? own : nil
    return invitation
  }
}
