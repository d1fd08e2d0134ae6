package import MusterParticipation
package import MusterSchema

// A scout forwards descriptors, fills the quota that the coordinator above gave it, and replaces devices that are lost. Unless it
// aggregates, it counts nothing: a device's `done` is a hint, and only the ledger decides.
extension Coordinator {
  mutating func forward(_ descriptor: TaskDescriptor) {
    let known = tasks[descriptor.task]
    if let known, known.specification != nil || descriptor.revision <= known.descriptor.revision || known.isEnded { return }
    // The end of an unknown task is forwarded, too: a descriptor from before this store may still be retained on our topics.
    guard descriptor.regions.contains(id) else { return }
    if descriptor.state.isFinal { settle(descriptor.task, abandoned: "the task is \(descriptor.state.rawValue)") }
    commit(.forwarded(descriptor))
    reviewAll(descriptor.task)
    effects += owed(task: descriptor.task)
    // No invitations were sent during the pause, so devices that have not answered are invited again.
    if known?.isPaused == true { oweInvitations(descriptor.task) }
    effects.append(.standingChanged(descriptor.task))
    if let run = tasks[descriptor.task], run.isEnded { clearStatuses(run) }
    advance(descriptor.task)
  }

  mutating func order(_ invitation: Invitation) {
    guard let run = tasks[invitation.task], run.specification == nil, !run.isEnded else { return }
    effects.append(.standingChanged(invitation.task))
    let current = run.train
    let quota = invitation.quota.asDevices
    let continues = current.map { $0.key.round == invitation.round && $0.key.phase == invitation.phase && !$0.isClosed } ?? false
    if let current {
      if invitation.key < current.key { return }
      // A frozen set stays frozen in every attempt.
      if run.isLedger && current.isClosed && run.hasOrder && invitation.round == current.key.round && invitation.phase == current.key.phase
      {
        return
      }
      if invitation.key == current.key && (current.isClosed || quota == current.needed) {
        advance(invitation.task)
        return
      }
    }
    let slack = max(2, invitation.secondsLeft / 10)
    let deadline = now.advanced(bySeconds: max(1, invitation.secondsLeft - slack))
    // Devices that are already at work on this round keep their seats.
    let staying = continues ? current?.nodes.seats.filter { !$0.seat.isLost }.map { ($0.node, $0.seat.quota) } ?? [] : []
    if !continues {
      settle(invitation.task, abandoned: "replaced by an invitation to \(invitation.key)")
    } else if let current, current.key != invitation.key {
      // The next attempt begins without the devices that this one lost, so they are recorded now.
      recordMissed(invitation.task)
    }
    let opening = PhaseOpening(
      key: invitation.key, base: invitation.base, seed: invitation.seed, needed: quota, minimum: invitation.minimum.asDevices,
      deadline: deadline, cohort: Dictionary(uniqueKeysWithValues: staying), order: invitation, continues: continues)
    commit(.opened(invitation.task, opening))
    noteReturning(invitation.task)
    if !continues { reviewAll(invitation.task) }
    // The model of the previous order is no longer needed.
    if !continues { effects.append(.collect) } else if !run.isLedger { effects.append(.consult(invitation.task)) }
    advance(invitation.task)
  }

  mutating func release(_ id: TaskID, _ reason: String) {
    guard let run = tasks[id], run.hasOrder else { return }
    settle(id, abandoned: reason)
    tasks[id]?.train?.isClosed = true
    tasks[id]?.stage = .waiting
    effects.append(.standingChanged(id))
  }

  /// Gives the open places of an order to devices that are ready.
  mutating func scout(_ id: TaskID) {
    guard let run = tasks[id], let round = run.train, !round.isClosed, !round.isOver else { return }
    if run.isLedger, closeOrder(id) { return }
    guard now < round.deadline else { return }
    let lostBefore = round.nodes.tally.lost
    repeatInvitations(id, .train)
    if let holds = tasks[id]?.train?.holdsUntil, now >= holds {
      tasks[id]?.train?.holdsUntil = nil
      tasks[id]?.train?.holdsForLedger = false
    }
    guard let round = tasks[id]?.train else { return }
    let chosen = round.holdsUntil == nil ? round.nodes.free.prefix(max(0, round.needed - round.nodes.tally.holding)).map(\.node) : []
    for node in chosen {
      if let lost = tasks[id]?.train?.nodes.vacancies.first { tasks[id]?.train?.nodes[lost].seat?.replacement = node }
      tasks[id]?.train?.seat(node, at: now)
    }
    inviteNext(id, .train)
    if !chosen.isEmpty || round.nodes.tally.lost != lostBefore {
      effects.append(.standingChanged(id))
      effects.append(.roundChanged(id))
    }
    if run.isLedger { noteIdle(id) }
  }

  package func standing(_ id: TaskID) -> Standing? {
    guard let run = tasks[id], run.specification == nil else { return nil }
    var readiness = Readiness(devices: run.roll.ready)
    readiness.declined = run.roll.declined
    readiness.waiting = run.roll.withReason.prefix(5).compactMap { node in
      run.roll[node].flatMap { reason(node, $0, run) }.map { Waiting(node: node.rawValue, reason: $0.brief()) }
    }
    var standing = Standing(readiness: readiness, have: 0, waiting: readiness.waiting)
    guard run.hasOrder, let round = run.train else { return standing }
    if round.isClosed {
      guard run.isLedger else { return standing }
      standing.key = round.key
      standing.quota = round.needed
      standing.have = round.acceptedDevices
      standing.state = .filled
      standing.waiting = []
      return standing
    }
    standing.key = round.key
    standing.have = round.nodes.tally.atWork
    standing.waiting = waiting(run, round, limit: 5)
    standing.quota = round.needed
    if standing.have >= round.needed {
      standing.state = .filled
    } else if round.nodes.tally.holding >= round.needed || run.isPaused || round.holdsUntil != nil {
      standing.state = .recruiting
    } else if round.nodes.tally.invited > 0 {
      standing.state = .recruiting
    } else if round.nodes.tally.returning > 0 {
      // The connection to the broker was lost: devices that were online before are expected back.
      standing.state = .recruiting
    } else {
      standing.state = .short
      let (code, reason) = shortReason(round)
      standing.code = code
      standing.reason = reason
    }
    return standing
  }

  private func shortReason(_ round: PhaseRun) -> (code: ErrorCode?, reason: String) {
    let lost = round.nodes.seats.compactMap { node, seat -> (node: NodeID, reason: String, failed: Bool)? in
      if case .lost(let reason, let fate) = seat.state { (node, reason, fate == .failed) } else { nil }
    }
    if !lost.isEmpty, round.nodes.tally.atWork == 0, lost.allSatisfy(\.failed), Set(lost.map(\.reason)).count == 1 {
      return (.everyDeviceFailed, lost[0].reason)
    }
    if lost.isEmpty { return (nil, "no other device is ready") }
    return (nil, Sentences.events(lost.map { Waiting(node: $0.node.rawValue, reason: $0.reason) }) + "; no other device is ready")
  }
}
