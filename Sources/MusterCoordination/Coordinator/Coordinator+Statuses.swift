internal import MusterParticipation
internal import MusterSchema

// The messages of nodes on topics, and what they mean for the nodes' seats.
extension Coordinator {
  mutating func heard(_ state: NodeState, retained: Bool) {
    let before = nodes[state.node]
    // A session that was not known is news from the node, even if the message was retained.
    if !retained || (before != nil && before?.session != state.session) { _ = heardWord(of: state.node) }
    if before == nil, state.online, nodes.count >= configuration.mostNodes { evict() }
    guard before != nil || nodes.count < configuration.mostNodes else { return }
    stopWaitingForReturn(of: state.node)
    guard state.online else {
      // A node that went offline before this coordinator started is also listed, so that an operator can see and forget it.
      guard before != nil else {
        if forgottenNodes.contains(where: { $0.node == state.node && $0.session == state.session }) {
          // The Will of a node that was forgotten before the broker noticed that its connection was lost.
          effects.append(.clear(.nodeState(coordinator: id, node: state.node)))
        } else {
          nodes[state.node] = state
        }
        return
      }
      // A late Will of an earlier connection says nothing about this one.
      let isOwn = before?.session == state.session || configuration.faults.contains(.believesEveryWill)
      guard let before, before.online, isOwn else { return }
      nodes[state.node]?.online = false
      nodes[state.node]?.reason = state.reason?.brief()
      review(state.node)
      for id in openTasks { wentOffline(state.node, id) }
      return
    }
    nodes[state.node] = state
    review(state.node)
    if !retained { heardAt[state.node] = now }
    let isNew = before?.session != state.session || before?.online == false
    for id in openTasks {
      if isNew {
        oweInvitations(id, to: state.node)
        offerAgain(state.node, id)
      }
      if tasks[id]?.specification == nil { effects.append(.standingChanged(id)) }
      advance(id)
    }
  }

  private mutating func wentOffline(_ node: NodeID, _ id: TaskID) {
    guard let run = tasks[id], !run.isEnded else { return }
    if run.specification == nil {
      lose(node, id, .train, "went offline", .missed)
      effects.append(.standingChanged(id))
    } else if run.train?.nodes[node].seat != nil || run.evaluation?.nodes[node].seat != nil {
      // An offline region does not stop its devices from delivering, so its seat stays until it is back.
      tasks[id]?.note(node.rawValue, "went offline")
      effects.append(.roundChanged(id))
    }
    advance(id)
  }

  mutating func heard(_ status: NodeStatus, retained: Bool) {
    // A retained status that differs from the last one is news, too: the node sent it while this coordinator was not listening.
    let last = tasks[status.task]?.roll[status.node]
    let wasSilent = (!retained || (last != nil && last != status)) && heardWord(of: status.node)
    defer { if wasSilent { lookAgain() } }
    guard tasks[status.task] != nil else {
      // Either the node has not heard yet that the task is forgotten, or the broker retained the status from before a restart of this
      // coordinator. A node that receives the task's descriptor again repeats its status.
      let isLeft = retained && !configuration.storeIsNew
      if isLeft || forgotten.contains(status.task) { effects.append(clearing(status.node, status.task)) }
      return
    }
    if last == nil { makeRoomForStatus(status.task) }
    guard let run = tasks[status.task], run.roll[status.node] != nil || run.roll.count < configuration.mostNodes else { return }
    guard !run.isEnded else {
      effects.append(clearing(status.node, status.task))
      return
    }
    // A repeated status is not news, but it may be the answer to an invitation that was repeated.
    let isNews = run.roll[status.node] != status
    if isNews {
      tasks[status.task]?.roll[status.node] = status
      review(status.node, status.task)
    }
    if run.specification == nil {
      followDevice(status)
      effects.append(.standingChanged(status.task))
    } else {
      followRegion(status, .train)
      followRegion(status, .evaluation)
    }
    if isNews { effects.append(.roundChanged(status.task)) }
    advance(status.task)
  }

  private mutating func followRegion(_ status: NodeStatus, _ phase: PhaseSlot) {
    guard let round = tasks[status.task]?[phase], !round.isClosed, status.key == round.key,
      var seat = round.nodes[status.node].seat
    else { return }
    seat.waiting = (status.waiting ?? []).prefix(5).map { Waiting(node: $0.node.brief(), reason: $0.reason.brief()) }
    seat.have = status.have?.asDevices ?? 0
    seat.known = status.quota?.asDevices ?? seat.quota
    if seat.known >= seat.quota {
      seat.raisedAt = nil
    } else if seat.state == .invited {
      // This answers its first invitation. It was asked for more devices since.
      seat.raisedAt = now
    }
    seat.reason = status.reason?.brief()
    seat.code = status.code
    seat.isShort = status.state == .short
    switch status.state {
    case .declined, .failed:
      seat.state = .lost(reason: status.reason?.brief() ?? "declined", fate: status.fate)
      if round.nodes[status.node].seat?.isLost == false {
        tasks[status.task]?.note(status.node.rawValue, status.reason ?? status.state.rawValue, status.fate)
      }
    case .ready: return
    default: seat.state = .working(progress: nil)
    }
    if seat.isShort, let reason = status.reason {
      let every = status.code == .everyDeviceFailed ? "every device failed: " : ""
      tasks[status.task]?.note(status.node.rawValue, every + reason)
    }
    tasks[status.task]?[phase]?.nodes[status.node].seat = seat
  }

  private mutating func followDevice(_ status: NodeStatus) {
    let id = status.task
    guard let run = tasks[id], let round = run.train, !round.isClosed else { return }
    guard let key = status.key, key.round == round.key.round, key.phase == round.key.phase else {
      if status.state == .ready { offerAgain(status.node, id) }
      if status.state == .declined || status.state == .failed { gaveUp(status.node, id) }
      return
    }
    switch status.state {
    case .accepted, .training, .uploading:
      var seat = round.nodes[status.node].seat ?? Seat(quota: 1, since: now, isByOwnWord: true)
      seat.state = .working(progress: status.progress)
      // The device may be at work and still report trouble: it retries by itself, and `why` shows the reason.
      seat.reason = status.reason?.brief() ?? status.state.rawValue
      tasks[id]?.train?.nodes[status.node].seat = seat
    case .done where run.isLedger:
      // A ledger knows which contributions have arrived.
      if !round.nodes[status.node].hasDelivered {
        lose(status.node, id, .train, "reported done, but no contribution from it was accepted", .missed)
      }
    case .done:
      var seat = round.nodes[status.node].seat ?? Seat(quota: 1, since: now, isByOwnWord: true)
      seat.state = .done
      tasks[id]?.train?.nodes[status.node].seat = seat
      tasks[id]?.train?.nodes[status.node].hasDelivered = true
    case .failed, .declined:
      guard key.attempt == round.key.attempt else { return }
      lose(status.node, id, .train, status.reason ?? status.state.rawValue, status.fate)
    case .ready, .recruiting, .filled, .short: break
    }
  }

  /// A device that shows up again may be invited again, whatever became of its seat, unless it failed in this attempt.
  private mutating func offerAgain(_ node: NodeID, _ id: TaskID) {
    guard tasks[id]?.specification == nil, let seat = tasks[id]?.train?.nodes[node].seat else { return }
    switch seat.state {
    // A device that failed in this attempt would only report the same failure again.
    case .lost(_, let fate): if fate != .failed { tasks[id]?.train?.nodes[node].seat = nil }
    case .working where tasks[id]?.roll[node]?.state == .ready: gaveUp(node, id)
    case .invited, .working, .done: break
    }
  }

  /// A device at work has become idle: the ledger refused its contribution, or it lost its state. The ledger knows whether the round goes
  /// on, so no device is invited until it has answered or `repeatSeconds` have passed.
  private mutating func gaveUp(_ node: NodeID, _ id: TaskID) {
    guard case .working = tasks[id]?.train?.nodes[node].seat?.state else { return }
    tasks[id]?.train?.nodes[node].seat = nil
    if tasks[id]?.isLedger == true { return }
    tasks[id]?.train?.holdsUntil = now.advanced(bySeconds: configuration.repeatSeconds)
    tasks[id]?.train?.holdsForLedger = true
    effects.append(.consult(id))
  }

  mutating func heard(_ ledger: PhaseLedger) {
    guard let run = tasks[ledger.task], let round = run.train, round.key.round == ledger.round, round.key.phase == ledger.phase else {
      return
    }
    let delivered = Set(ledger.accepted.filter { $0.nodes.count == 2 && $0.nodes[0] == id }.map { $0.nodes[1] })
    if round.order != nil, !run.isLedger {
      // A device that said `done` without having delivered leaves its place open again.
      for (node, entry) in round.nodes.all where !delivered.contains(node) {
        if entry.seat?.state == .done { tasks[ledger.task]?.train?.nodes[node].seat = nil }
        tasks[ledger.task]?.train?.nodes[node].hasDelivered = false
      }
    }
    for node in delivered {
      tasks[ledger.task]?.train?.nodes[node].hasDelivered = true
      tasks[ledger.task]?.train?.nodes[node].seat?.state = .done
    }
    if round.order != nil {
      tasks[ledger.task]?.train?.isOver = !ledger.open
      if round.holdsForLedger {
        tasks[ledger.task]?.train?.holdsUntil = nil
        tasks[ledger.task]?.train?.holdsForLedger = false
      }
    }
    effects.append(.standingChanged(ledger.task))
    advance(ledger.task)
  }
}

extension NodeStatus {
  /// The fate of an invitation that is given up with this status.
  fileprivate var fate: Fate { state == .failed ? .failed : .declined }
}
