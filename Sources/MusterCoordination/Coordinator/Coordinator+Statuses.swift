internal import MusterSchema

// What nodes say on topics, and what it means for the seats that they hold.
extension Coordinator {
  mutating func heard(_ state: NodeState) {
    let before = nodes[state.node]
    guard state.online else {
      // A late Will of an earlier connection says nothing about this one.
      guard let before, before.session == state.session, before.online else { return }
      nodes[state.node]?.online = false
      for id in tasks.keys.sorted() { wentOffline(state.node, id) }
      return
    }
    nodes[state.node] = state
    let isNew = before?.session != state.session || before?.online == false
    if isNew { effects += owed(to: state.node) }
    for id in tasks.keys.sorted() where tasks[id]?.isEnded == false {
      if isNew { offerAgain(state.node, id) }
      if tasks[id]?.specification == nil { effects.append(.standingChanged(id)) }
      advance(id)
    }
  }

  private mutating func wentOffline(_ node: NodeID, _ id: TaskID) {
    guard let run = tasks[id], !run.isEnded else { return }
    if run.specification == nil {
      lose(node, id, \.train, "went offline", failed: false)
      effects.append(.standingChanged(id))
    } else if run.train?.seats[node] != nil || run.evaluation?.seats[node] != nil {
      // A region that is gone does not stop its devices: they upload here. Its seat waits for it.
      tasks[id]?.note(node.rawValue, "went offline")
      effects.append(.roundChanged(id))
    }
    advance(id)
  }

  mutating func heard(_ status: NodeStatus) {
    guard let run = tasks[status.task], !run.isEnded, run.statuses[status.node] != status else { return }
    tasks[status.task]?.statuses[status.node] = status
    if run.specification == nil {
      followDevice(status)
      effects.append(.standingChanged(status.task))
    } else {
      followRegion(status, \.train)
      followRegion(status, \.evaluation)
    }
    effects.append(.roundChanged(status.task))
    advance(status.task)
  }

  private mutating func followRegion(_ status: NodeStatus, _ phase: WritableKeyPath<TaskRun, PhaseRun?>) {
    guard let round = tasks[status.task]?[keyPath: phase], !round.isClosed, status.key == round.key,
      var seat = round.seats[status.node]
    else { return }
    seat.waiting = status.waiting ?? []
    seat.have = max(0, min(status.have ?? 0, 1_000_000))
    seat.reason = status.reason
    seat.isShort = status.state == .short
    switch status.state {
    case .declined, .failed:
      seat.state = .lost(reason: status.reason ?? "declined", failed: status.state == .failed)
      tasks[status.task]?.note(status.node.rawValue, status.reason ?? status.state.rawValue)
    case .ready: return
    default: seat.state = .working(progress: nil)
    }
    if seat.isShort, let reason = status.reason { tasks[status.task]?.note(status.node.rawValue, reason) }
    tasks[status.task]?[keyPath: phase]?.seats[status.node] = seat
  }

  private mutating func followDevice(_ status: NodeStatus) {
    let id = status.task
    guard let round = tasks[id]?.train, !round.isClosed else { return }
    guard let key = status.key, key.round == round.key.round, key.phase == round.key.phase else {
      if status.state == .ready { offerAgain(status.node, id) }
      return
    }
    switch status.state {
    case .accepted, .training, .uploading:
      var seat = round.seats[status.node] ?? Seat(quota: 1, since: now)
      seat.state = .working(progress: status.progress)
      seat.reason = status.state.rawValue
      tasks[id]?.train?.seats[status.node] = seat
    case .done:
      tasks[id]?.train?.seats[status.node, default: Seat(quota: 1, since: now)].state = .done
    case .failed, .declined:
      guard key.attempt == round.key.attempt else { return }
      lose(status.node, id, \.train, status.reason ?? status.state.rawValue, failed: status.state == .failed)
    case .ready, .recruiting, .filled, .short: break
    }
  }

  /// A device that shows itself afresh may be asked again, whatever became of it before.
  private mutating func offerAgain(_ node: NodeID, _ id: TaskID) {
    guard tasks[id]?.specification == nil, let seat = tasks[id]?.train?.seats[node] else { return }
    switch seat.state {
    case .lost: tasks[id]?.train?.seats[node] = nil
    case .working where tasks[id]?.statuses[node]?.state == .ready:
      // It lost its job, with its state or its memory.
      tasks[id]?.train?.seats[node] = Seat(quota: 1, since: now)
    case .invited, .working, .done: break
    }
  }

  mutating func heard(_ ledger: PhaseLedger) {
    guard let run = tasks[ledger.task], let round = run.train, round.key.round == ledger.round, round.key.phase == ledger.phase else {
      return
    }
    for path in ledger.accepted where path.nodes.count == 2 && path.nodes[0] == id {
      tasks[ledger.task]?.train?.delivered.insert(path.nodes[1])
      tasks[ledger.task]?.train?.seats[path.nodes[1]]?.state = .done
    }
    effects.append(.standingChanged(ledger.task))
    advance(ledger.task)
  }
}
