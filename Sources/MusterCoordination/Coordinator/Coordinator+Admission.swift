import MusterParticipation
package import MusterSchema

// Admission at a ledger, before the body of an upload is read. The machine decides again when it is handed the contribution.
extension Coordinator {
  /// Decides whether an upload may begin.
  ///
  /// - Parameters:
  ///   - key: its path is the node that the upload claims to come from.
  ///   - grant: returns the grant from which the ticket of a path derives; `nil` if it is not known here, or no longer.
  package func admission(
    _ key: ContributionKey, ticket: Ticket?, grant: (TaskRun, NodePath) -> Grant?
  ) -> UploadAdmission {
    let (task, round, phase, path) = (key.task, key.round, key.phase, key.path)
    guard let run = tasks[task], run.isLedger else { return .unknown }
    guard let ticket else { return .refused("the upload has no ticket: send the invitation's ticket as Authorization: Bearer") }
    guard let grant = grant(run, path) else { return .closed("round \(round) is not open at this coordinator") }
    guard ticket == grant.ticket(task: task, round: round, phase: phase) else {
      return .refused("the ticket is not valid for this contribution")
    }
    if let earlier = known(run, round: round, phase: phase, path: path) {
      return configuration.faults.contains(.repeatsAreRefused) ? .closed("the round is closed") : .accepted(earlier)
    }
    if let why = stranger(path, run) { return .refused(why) }
    if let why = refusal(run, round: round, phase: phase) { return .past(why) }
    guard let base = run.base(round: round, phase: phase) else { return .closed("the round is not open") }
    return .open(
      UploadTerms(
        base: base, maximumWeight: run.descriptor.maximumWeight, maximumBytes: configuration.maximumBytes,
        maximumDevices: run.maximumDevices(path), encoding: run.descriptor.encoding))
  }
}

extension Coordinator {
  /// Whether this coordinator counts contributions of the task.
  package func isLedger(of task: TaskID) -> Bool { tasks[task]?.isLedger ?? false }

  /// The contributions that a phase in progress has accepted, and whether it takes more.
  ///
  /// - Returns: `nil` if the phase is over, or this coordinator does not count contributions of the task.
  package func phaseLedger(_ task: TaskID, round: Int, phase: Phase) -> PhaseLedger? {
    guard let run = tasks[task], run.isLedger, let accepted = run.ledger(round: round, phase: phase)?.accepted else { return nil }
    return PhaseLedger(
      task: task, round: round, phase: phase, open: refusal(run, round: round, phase: phase) == nil, accepted: accepted.map(\.path))
  }
}

extension TaskRun {
  /// At a region that aggregates: the grant from which a device's ticket derives.
  package func grant(of path: NodePath) -> Grant? { path.nodes.count == 2 ? grant?.child(path.nodes[1]) : nil }
}

extension Invitation {
  /// The invitation as it is sent: with the ticket of the node that it goes to, and for a scout the grant from which its devices' tickets
  /// derive. The machine itself holds no secrets.
  ///
  /// - Parameter grant: the grant of the inviting coordinator.
  package func admitting(_ node: NodeID, by grant: Grant, asScout isScout: Bool) -> Invitation {
    var invitation = self
    let own = grant.child(node)
    invitation.ticket = own.ticket(task: task, round: round, phase: phase)
    invitation.grant = isScout ? own : nil
    return invitation
  }
}
