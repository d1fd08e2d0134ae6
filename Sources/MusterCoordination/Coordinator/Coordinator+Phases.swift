import MusterParticipation
package import MusterSchema

// A phase in progress: counting contributions, sending and repeating invitations, closing the phase, and further attempts.
extension Coordinator {
  mutating func contribute(_ id: TaskID, round: Int, phase: Phase, _ contribution: ContributionRecord) -> Answer {
    guard let run = tasks[id], run.isLedger else { return .unknown }
    // A closed round still knows its contributions: a node that missed the first answer learns that its contribution counts.
    if let earlier = known(run, round: round, phase: phase, path: contribution.path) {
      if configuration.faults.contains(.repeatsAreRefused) { return .closed("the round is closed") }
      return earlier == contribution.digest ? .same : .conflict
    }
    if let why = refusal(run, round: round, phase: phase), !configuration.faults.contains(.admissionIsAcceptance) { return .closed(why) }
    if let why = unfit(contribution, run), !configuration.faults.contains(.acceptsAnyNumber) {
      tasks[id]?.note(contribution.path.description, "contribution refused: \(why)")
      effects.append(.roundChanged(id))
      return .refused(why)
    }
    commit(.contributed(id, round: round, phase: phase, contribution))
    effects.append(.roundChanged(id))
    if run.specification == nil { effects.append(.standingChanged(id)) }
    return .stored
  }

  /// The digest of the contribution that already counts for this path.
  func known(_ run: TaskRun, round: Int, phase: Phase, path: NodePath) -> Digest? {
    configuration.faults.contains(.countsRepeats) ? nil : run.accepted(round: round, phase: phase, path: path)
  }

  /// What is wrong with the numbers of a contribution; `nil` if they can be added to those of others.
  private func unfit(_ contribution: ContributionRecord, _ run: TaskRun) -> String? {
    do {
      try UpdateMetadata.check(weight: contribution.weight)
      try UpdateMetadata.check(metrics: contribution.metrics)
    } catch {
      return error.detail
    }
    let most = run.maximumDevices(contribution.path)
    guard (1...most).contains(contribution.devices) else {
      return "it stands for \(contribution.devices) devices, but a contribution to this round may stand for 1 to \(most)"
    }
    return nil
  }

  /// Why a path has nothing to contribute here; `nil` if it has. Devices contribute to their ledger, regions that aggregate to central.
  package func stranger(_ path: NodePath, _ run: TaskRun) -> String? {
    switch (run.specification?.upload, path.nodes.count) {
    case (.region, 1): nil
    case (.region, _): "the task's devices upload to their region, which aggregates"
    case (.central, 1): "the task's devices upload to central, so a region must not upload a contribution of its own"
    case (.central, _): nil
    case (nil, 2) where path.nodes.first == id: nil
    case (nil, _): "\(path) is not a device of \(id)"
    }
  }

  /// Why this phase takes no contribution now; `nil` if it takes one.
  package func refusal(_ run: TaskRun, round: Int, phase: Phase) -> String? {
    if case .ended(let step, let reason) = run.stage { return "the task is \(step.rawValue): \(reason)" }
    if round > run.round { return "round \(round) has not opened yet, round \(run.round) is in progress" }
    if round < run.round { return "round \(round) is closed, round \(run.round) is in progress" }
    if run.specification == nil {
      guard let current = run.train, current.key.phase == phase, !current.isClosed, run.stage == .scouting else {
        return "this region does not take contributions to this phase of round \(round) now"
      }
      return nil
    }
    switch phase {
    case .train:
      guard let train = run.train, !train.isClosed, run.stage == .training || run.stage == .recruiting else {
        return "round \(round) no longer takes updates"
      }
    case .evaluate:
      guard let evaluation = run.evaluation, !evaluation.isClosed, run.stage == .evaluating else {
        return "round \(round) does not take evaluations now"
      }
    }
    return nil
  }

  /// Looks at a phase in progress. If it is complete, over, or has no node left to wait for, it is closed or attempted again.
  mutating func follow(_ id: TaskID, _ phase: PhaseSlot) {
    repeatInvitations(id, phase)
    inviteNext(id, phase)
    moveQuotas(id, phase)
    guard let run = tasks[id], let round = run[phase], !round.isClosed else { return }
    let accepted = round.acceptedDevices
    if accepted >= round.needed || (now >= round.deadline && accepted >= round.minimum) {
      close(id, phase)
    } else if now >= round.deadline {
      missed(id, "the deadline has passed")
    } else if round.nodes.tally.outstanding == 0 {
      let idle = round.idleSince ?? now
      tasks[id]?[phase]?.idleSince = idle
      guard now.seconds(since: idle) >= configuration.graceSeconds else { return }
      if accepted >= round.minimum { close(id, phase) } else { missed(id, "no node is left to wait for") }
    } else {
      tasks[id]?[phase]?.idleSince = nil
    }
  }

  /// Repeats unanswered invitations, and gives up those that have had no answer for too long.
  mutating func repeatInvitations(_ id: TaskID, _ phase: PhaseSlot) {
    guard isConnected, let round = tasks[id]?[phase], !round.isClosed else { return }
    for node in round.nodes.due(at: now) {
      guard let seat = round.nodes[node].seat, let asked = seat.askedAt else { continue }
      if now.seconds(since: asked) < configuration.answerSeconds && !isSilent(node) {
        invite(node, id, phase)
      } else {
        stopAsking(node, id, phase)
      }
    }
  }

  /// Gives up on a node that did not answer, whether this invitation or one to another phase or task.
  private mutating func stopAsking(_ node: NodeID, _ id: TaskID, _ phase: PhaseSlot) {
    if tasks[id]?[phase]?.nodes[node].seat?.state == .invited {
      lose(node, id, phase, "did not answer its invitation", .missed)
    } else {
      // The node continues with the quota that it knows. The devices that it was asked for in addition are asked of other nodes.
      tasks[id]?[phase]?.nodes[node].seat?.raisedAt = nil
      tasks[id]?[phase]?.nodes[node].seat?.isShort = true
    }
  }

  /// Invites nodes that wait for their invitation, as long as fewer than ``mostFresh`` are fresh. With more of them, answers would come
  /// faster than a server reads them, and it would repeat invitations that are already answered.
  mutating func inviteNext(_ id: TaskID, _ phase: PhaseSlot) {
    guard isConnected, let round = tasks[id]?[phase], mayInviteNext(round) else { return }
    for next in round.nodes.uninvited.prefix(Self.mostFresh - round.nodes.tally.fresh) {
      if isSilent(next.node) { stopAsking(next.node, id, phase) } else { invite(next.node, id, phase) }
    }
  }

  func mayInviteNext(_ phase: PhaseRun) -> Bool {
    phase.holdsUntil == nil && !phase.nodes.uninvited.isEmpty && phase.nodes.tally.fresh < Self.mostFresh
  }

  /// Maximum number of fresh seats in a phase; further nodes wait for their invitation. A server reads several thousand answers in the two
  /// seconds after which it would repeat an invitation.
  private static let mostFresh = 512

  mutating func lose(_ node: NodeID, _ id: TaskID, _ phase: PhaseSlot, _ reason: String, _ fate: Fate) {
    guard let seat = tasks[id]?[phase]?.nodes[node].seat, seat.state != .done, !seat.isLost else { return }
    tasks[id]?[phase]?.nodes[node].seat?.state = .lost(reason: reason, fate: fate)
    tasks[id]?.note(node.rawValue, reason, fate)
    effects.append(.roundChanged(id))
  }

  /// Asks regions that have devices to spare for the devices that another region lacks.
  private mutating func moveQuotas(_ id: TaskID, _ phase: PhaseSlot) {
    guard let run = tasks[id], let round = run[phase], !round.isClosed, !round.nodes.lacking.isEmpty,
      !round.nodes.quotasAreSettled
    else { return }
    let ready = readyRegions(run)
    for node in round.nodes.lacking {
      guard let seat = round.nodes[node].seat else { continue }
      var lack = round.nodes[node].lack(round.nodes.deliversOnce)
      let lacking = lack
      for (other, devices) in ready where lack > 0 && other != node {
        let taken = tasks[id]?[phase]?.nodes[other].seat
        if taken?.isLost == true || taken?.isShort == true || round.nodes.hasDelivered(other) { continue }
        let held = taken?.quota ?? round.nodes[other].accepted
        let spare = min(lack, devices - held)
        guard spare > 0 else { continue }
        var moved = taken ?? Seat(quota: held, since: now)
        moved.quota += spare
        if moved.state != .invited { moved.raisedAt = moved.raisedAt ?? now }
        tasks[id]?[phase]?.nodes[other].seat = moved
        tasks[id]?[phase]?.nodes[node].seat?.moved += spare
        let why = if case .lost(let reason, _) = seat.state { ": \(reason)" } else { "" }
        tasks[id]?.note(node.rawValue, "lacks \(lacking) of \(seat.quota) devices; \(other) was asked for \(spare) more\(why)")
        lack -= spare
        invite(other, id, phase)
      }
    }
    tasks[id]?[phase]?.nodes.quotasAreSettled = true
  }

  mutating func close(_ id: TaskID, _ phase: PhaseSlot) {
    guard let round = tasks[id]?[phase], !round.isClosed else { return }
    commit(.closed(id, round: round.key.round, phase: round.key.phase))
    effects.append(.roundChanged(id))
    if round.key.phase == .train || round.order != nil { effects.append(.aggregate(id, round: round.key.round)) }
  }

  /// A round that closes short recruits again for the same round, or ends the task. The accepted contributions stay.
  private mutating func missed(_ id: TaskID, _ why: String) {
    guard let run = tasks[id], let specification = run.specification, let train = run.train else { return }
    for (node, seat) in train.nodes.seats where train.nodes[node].accepted < seat.quota {
      if !run.troubles.contains(where: { $0.node == node.rawValue || $0.node.hasPrefix("\(node)/") }) {
        tasks[id]?.note(node.rawValue, "delivered \(train.nodes[node].accepted) of \(seat.quota) updates")
      }
    }
    let got = "got \(train.acceptedDevices) of \(train.minimum) required updates"
    let short = "round \(run.round), attempt \(run.attempt): \(got), and \(why)"
    let reason = tasks[id]?.troubles.last.map { "\(short); \($0.node): \($0.reason)" } ?? short
    if let common = commonFailure(train), train.accepted.isEmpty {
      end(id, .failed, "every invited device failed for the same reason: \(common)", cutShort: false)
    } else if run.attempt >= specification.maxAttempts {
      let attempts = run.attempt == 1 ? "1 attempt" : "\(run.attempt) attempts"
      end(id, .failed, "round \(run.round) did not get enough updates in \(attempts); last problem: \(reason)", cutShort: false)
    } else {
      tasks[id]?.stage = .recruiting
      tasks[id]?.lastReason = reason
      effects.append(.roundChanged(id))
      recruit(id)
    }
  }

  /// The frozen set gave no model, because the strategy refused too many updates: the round closed short after all. The refused updates
  /// stay accepted and the next fold examines them again; other nodes are asked for what is missing.
  mutating func fellShort(_ id: TaskID, round: Int, refused: [Waiting], _ reason: String) {
    guard let run = tasks[id], run.stage == .aggregating, run.round == round, let specification = run.specification, let train = run.train
    else { return }
    for update in refused { tasks[id]?.note(update.node, "update refused: \(update.reason)") }
    commit(.reopened(id, round: round, refused: refused))
    let isShort = (tasks[id]?.train?.acceptedDevices ?? 0) < max(1, train.minimum)
    // If the minimum is there even without the refused updates, more of the same would not help the strategy's rule.
    guard isShort, run.attempt < specification.maxAttempts else {
      end(id, .failed, "round \(round) could not be aggregated: \(reason)")
      return
    }
    tasks[id]?.lastReason = "round \(round), attempt \(run.attempt), could not be aggregated: \(reason.brief())"
    effects.append(.roundChanged(id))
    advance(id)
  }

  /// The one reason that every region gives for having no device, if the devices themselves failed.
  private func commonFailure(_ train: PhaseRun) -> String? {
    let seats = train.nodes.seats.map(\.seat)
    guard !seats.isEmpty, seats.allSatisfy({ $0.isShort && $0.have == 0 && $0.code == .everyDeviceFailed }) else { return nil }
    let reasons = Set(seats.map { $0.reason ?? "" })
    return reasons.count == 1 ? reasons.first : nil
  }
}
