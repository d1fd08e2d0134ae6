internal import MusterParticipation
internal import MusterSchema

// A region that is the ledger of its devices: it freezes the accepted set, combines it into one contribution, and records what became of
// each device's contribution.
extension PhaseRun {
  /// The fewest devices from which a region makes a contribution.
  var least: Int { max(1, minimum) }
}

extension Coordinator {
  /// Freezes the set once the quota is filled, or once the minimum is there and the deadline has passed or no device is left to wait for.
  /// Otherwise the accepted contributions are kept for the next attempt.
  ///
  /// - Returns: whether the set is frozen now.
  mutating func closeOrder(_ id: TaskID) -> Bool {
    guard let round = tasks[id]?.train else { return false }
    let accepted = round.acceptedDevices
    let isIdle = round.idleSince.map { now.seconds(since: $0) >= configuration.graceSeconds } ?? false
    guard accepted >= max(1, round.needed) || (accepted >= round.least && (now >= round.deadline || isIdle)) else { return false }
    close(id, .train)
    effects.append(.standingChanged(id))
    return true
  }

  /// Notes since when no contribution is outstanding, so that there is no device left to wait for.
  mutating func noteIdle(_ id: TaskID) {
    guard let run = tasks[id], let round = run.train, round.holdsUntil == nil else { return }
    let idle = round.nodes.tally.outstanding == 0 ? round.idleSince ?? now : nil
    tasks[id]?.train?.idleSince = idle
  }

  mutating func combined(_ id: TaskID, _ key: RoundKey, _ combined: Combined) {
    // Only for the order that is frozen now: work for an earlier attempt used another set.
    guard let run = tasks[id], run.specification == nil, run.stage == .aggregating, let current = run.train?.key, current == key
    else { return }
    for update in combined.refused { tasks[id]?.note(update.node, "update refused: \(update.reason)") }
    commit(.combined(id, combined))
    effects += [.roundChanged(id), .deliver(id, current, combined.result)]
  }

  mutating func delivered(_ id: TaskID, _ key: RoundKey) {
    guard let run = tasks[id], run.stage == .delivering, let current = run.train?.key, current.round == key.round,
      current.phase == key.phase
    else { return }
    settle(id, abandoned: nil)
  }

  /// The frozen set cannot be combined: abandons all of its contributions.
  mutating func giveUp(_ id: TaskID, _ reason: String) {
    guard let key = tasks[id]?.train?.key else { return }
    settle(id, abandoned: reason)
    effects.append(.giveUp(id, key, reason: reason))
  }

  /// Ends an order and records the fate of each contribution, as promised when the contribution was accepted.
  ///
  /// - Parameter reason: why the ledger above does not count the contributions; `nil` if it does.
  mutating func settle(_ id: TaskID, abandoned reason: String?) {
    guard let run = tasks[id], run.specification == nil, run.hasOrder, let phase = run.train else { return }
    guard run.isLedger, !phase.accepted.isEmpty else { return recordMissed(id) }
    var fates = fates(phase, run.refused)
    if let reason { fates = fates.map { abandoned($0, reason) } }
    let isTraining = phase.key.phase == .train
    complete(
      id,
      RoundRecord(
        round: phase.key.round, attempts: phase.key.attempt, base: phase.base.digest,
        result: isTraining && reason == nil ? run.combined?.result.digest : nil,
        strategy: run.descriptor.strategy ?? .named("fedavg"), updates: isTraining ? fates : [], evaluations: isTraining ? [] : fates,
        missed: missedDevices(phase), metrics: nil, deviceMetrics: isTraining ? nil : Self.weighted(Array(phase.accepted.values)),
        seconds: now.seconds(since: phase.opened)))
    effects += [.roundChanged(id), .standingChanged(id), .collect]
  }

  /// Records the devices that an order lost, for the history.
  mutating func recordMissed(_ id: TaskID) {
    guard let phase = tasks[id]?.train else { return }
    let missed = missedDevices(phase)
    if !missed.isEmpty { commit(.missed(id, phase.key, missed)) }
  }

  private func missedDevices(_ phase: PhaseRun) -> [Waiting] {
    phase.nodes.seats.compactMap { node, seat in
      guard case .lost(let why, let fate) = seat.state else { return nil }
      return Waiting(node: NodePath(self.id, node).description, reason: why, fate: fate)
    }
  }
}
