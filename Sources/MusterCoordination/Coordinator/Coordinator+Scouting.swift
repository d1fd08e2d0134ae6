package import MusterParticipation
package import MusterSchema

// A scout: forwards descriptors, fills the quota that the coordinator above gave it, replaces whoever is lost. It counts nothing: a device's
// `done` is a hint, the truth is the ledger's.
extension Coordinator {
  mutating func forward(_ descriptor: TaskDescriptor) {
    let known = tasks[descriptor.task]
    if let known, known.specification != nil || descriptor.revision <= known.descriptor.revision || known.isEnded { return }
    // The end of a task that is not known any more is handed on, too: an earlier life's word may still stand on topics.
    guard descriptor.regions.contains(id) else { return }
    if descriptor.state.isFinal { settle(descriptor.task, abandoned: "the task is \(descriptor.state.rawValue)") }
    commit(.forwarded(descriptor))
    effects += owed(task: descriptor.task)
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
      // What was frozen stays frozen, whatever the attempt.
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
    // Whoever is at work on this round already stays in it.
    let staying = continues ? current?.nodes.seats.filter { !$0.seat.isLost }.map { ($0.node, $0.seat.quota) } ?? [] : []
    if !continues { settle(invitation.task, abandoned: "superseded by \(invitation.key)") }
    let opening = PhaseOpening(
      key: invitation.key, base: invitation.base, seed: invitation.seed, needed: quota, minimum: invitation.minimum.asDevices,
      deadline: deadline, cohort: Dictionary(uniqueKeysWithValues: staying), order: invitation, continues: continues)
    commit(.opened(invitation.task, opening))
    noteReturning(invitation.task)
    // The model of the order before is of no more use.
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

  /// Fills the open places of an order with devices that are ready.
  mutating func scout(_ id: TaskID) {
    guard let run = tasks[id], let round = run.train, !round.isClosed, !round.isOver else { return }
    if run.isLedger, closeOrder(id) { return }
    guard now < round.deadline else { return }
    let lostBefore = round.nodes.tally.lost
    repeatInvitations(id, \.train)
    if let holds = tasks[id]?.train?.holdsUntil, now >= holds {
      tasks[id]?.train?.holdsUntil = nil
      tasks[id]?.train?.holdsForLedger = false
    }
    guard let round = tasks[id]?.train else { return }
    let chosen = round.holdsUntil == nil ? candidates(run, round).prefix(max(0, round.needed - round.nodes.tally.holding)) : []
    for node in chosen {
      if let lost = tasks[id]?.train?.nodes.vacancies.first { tasks[id]?.train?.nodes[lost].seat?.replacement = node }
      tasks[id]?.train?.nodes[node].seat = Seat(quota: 1, since: now)
      tasks[id]?.train?.nodes[node].offers += 1
    }
    for node in chosen { invite(node, id, \.train) }
    if !chosen.isEmpty || round.nodes.tally.lost != lostBefore {
      effects.append(.standingChanged(id))
      effects.append(.roundChanged(id))
    }
    if run.isLedger { noteIdle(id) }
  }

  /// Devices that could take a place, in the order that the task's selection wants.
  private func candidates(_ run: TaskRun, _ round: PhaseRun) -> [NodeID] {
    let free = run.statuses.filter { node, status in
      let entry = round.nodes[node]
      return entry.seat == nil && !entry.hasDelivered && isReady(node, status, run) && entry.offers < Self.offersPerAttempt
    }.keys
    let shuffled = Seeds.shuffled(free, seed: round.seed)
    guard run.descriptor.selection == .load else { return shuffled }
    let ranked = shuffled.enumerated().sorted { (loadPerCore($0.element), $0.offset) < (loadPerCore($1.element), $1.offset) }
    return ranked.map(\.element)
  }

  /// A device that takes a place and gives it up again, for whatever reason, is asked so often in one attempt.
  private static let offersPerAttempt = 5

  /// A node that does not report its load stands last.
  private func loadPerCore(_ node: NodeID) -> Double {
    guard let resources = nodes[node]?.resources, let load = resources.load, load.isFinite else { return .infinity }
    return load / Double(max(1, resources.cores ?? 1))
  }

  func isReady(_ node: NodeID, _ status: NodeStatus, _ run: TaskRun) -> Bool {
    guard let state = nodes[node], state.online, !isSilent(node), Admission.mismatch(run.descriptor, state) == nil else { return false }
    switch status.state {
    case .ready, .done, .accepted, .training, .uploading: return true
    case .declined, .failed, .recruiting, .filled, .short: return false
    }
  }

  package func standing(_ id: TaskID) -> Standing? {
    guard let run = tasks[id], run.specification == nil else { return nil }
    var readiness = Readiness(devices: 0)
    for (node, status) in run.statuses.sorted(by: { $0.key < $1.key }) where nodes[node]?.online == true {
      if isReady(node, status, run) {
        readiness.devices += 1
      } else {
        readiness.declined += 1
        let silent = isSilent(node) ? Self.silentReason : nil
        if readiness.waiting.count < 5,
          let reason = silent ?? status.reason ?? nodes[node].flatMap({ Admission.mismatch(run.descriptor, $0) })
        {
          readiness.waiting.append(Waiting(node: node.rawValue, reason: reason.brief()))
        }
      }
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
      // The broker was away: who was there before is on his way back.
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
      if case .lost(let reason, let failed) = seat.state { (node, reason, failed) } else { nil }
    }
    if !lost.isEmpty, round.nodes.tally.atWork == 0, lost.allSatisfy(\.failed), Set(lost.map(\.reason)).count == 1 {
      return (.everyDeviceFailed, lost[0].reason)
    }
    if lost.isEmpty { return (nil, "no other device is ready") }
    return (nil, Sentences.events(lost.map { Waiting(node: $0.node.rawValue, reason: $0.reason) }) + "; no other device is ready")
  }
}
