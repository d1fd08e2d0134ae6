import MusterParticipation
package import MusterSchema

// A task's life at the root: accepted, paused, resumed, ended.
extension Coordinator {
  mutating func accept(_ id: TaskID, _ specification: TaskSpecification) {
    guard tasks[id] == nil else { return }
    commit(.accepted(id, specification))
    effects.append(.publish(describe(id)))
    effects.append(.initialize(id))
    effects.append(.roundChanged(id))
  }

  mutating func revise(_ id: TaskID, to state: TaskDescriptor.State) {
    guard let run = tasks[id], run.specification != nil, !run.isEnded, run.descriptor.state != state else { return }
    commit(.revised(id, revision: run.descriptor.revision + 1, state: state))
    effects += state == .open ? owed(task: id) : [.publish(describe(id)), .roundChanged(id)]
    if state == .open { oweInvitations(id) }
    advance(id)
  }

  mutating func initialized(_ id: TaskID, _ model: PublishedModel) {
    guard tasks[id]?.stage == .initializing else { return }
    commit(.published(id, round: 0, model, refused: []))
    effects.append(.roundChanged(id))
    advance(id)
  }

  mutating func workFailed(_ id: TaskID, _ work: Work, round: Int, _ key: RoundKey?, _ reason: String) {
    guard let run = tasks[id], !run.isEnded else { return }
    // At a region, work for an earlier order does not concern the current one.
    if let key, run.specification == nil, run.order?.key != key { return }
    switch (work, run.stage) {
    case (.initialize, .initializing): end(id, .failed, "the model could not be initialized: \(reason)")
    case (.aggregate, .aggregating) where run.round == round:
      if run.specification == nil {
        giveUp(id, reason)
      } else {
        end(id, .failed, "round \(round) could not be aggregated: \(reason)")
      }
    case (.evaluate, .evaluating) where run.round == round:
      tasks[id]?.note(self.id.rawValue, "evaluation failed: \(reason)")
      tasks[id]?.centralEvaluates = false
      effects.append(.roundChanged(id))
      advance(id)
    default: break
    }
  }

  /// Work that the task waits for has met temporary trouble. The explanation says so until the work is done.
  mutating func workDelayed(_ id: TaskID, _ work: Work, round: Int, _ reason: String) {
    guard let run = tasks[id], waits(run, for: work, round: round) else { return }
    tasks[id]?.delay = (work, round, reason.brief())
    effects.append(.roundChanged(id))
  }

  func waits(_ run: TaskRun, for work: Work, round: Int) -> Bool {
    switch (work, run.stage) {
    case (.initialize, .initializing): true
    case (.aggregate, .aggregating), (.evaluate, .evaluating): run.round == round
    default: false
    }
  }

  /// Whether the result of long work would still be used.
  ///
  /// - Parameter contributions: how many contributions the work aggregates. A round that was reopened for more is aggregated again.
  package func takes(_ work: Work, of id: TaskID, round: Int, contributions: Int) -> Bool {
    guard let run = tasks[id] else { return false }
    return switch work {
    case .initialize: waits(run, for: work, round: round)
    case .aggregate: waits(run, for: work, round: round) && run.train?.accepted.count == contributions
    // An operator may request an evaluation at any time.
    case .evaluate: run.models.contains { $0.round == round && $0.kept }
    }
  }

  /// A record of the task can never be stored: the root fails the task, a region fails its order.
  mutating func endUnstorable(_ id: TaskID, _ reason: String, bare: Bool) {
    guard let run = tasks[id], !run.isEnded else { return }
    let why = "a record of this task cannot be stored: \(reason.brief())"
    guard run.specification == nil else {
      end(id, .failed, why, recording: !bare)
      return
    }
    guard run.hasOrder, let key = run.train?.key else { return }
    if !bare { settle(id, abandoned: why) }
    tasks[id]?.train?.isClosed = true
    tasks[id]?.stage = .waiting
    effects += [.giveUp(id, key, reason: why), .standingChanged(id)]
  }

  /// Ends a task.
  ///
  /// - Parameters:
  ///   - recording: whether to record the round in progress, with the contributions that were accepted.
  ///   - cutShort: whether nodes that are still at work could have delivered.
  mutating func end(_ id: TaskID, _ step: RoundState.Step, _ reason: String, recording: Bool = true, cutShort: Bool = true) {
    guard let run = tasks[id], !run.isEnded else { return }
    if recording, let train = run.train {
      recordMissedEvaluations(id, cutShort: cutShort)
      if let record = abandonedRound(run, reason, cutShort: cutShort) {
        complete(id, record)
      } else if case let missed = missedTraining(run, train, cutShort: cutShort), !missed.isEmpty {
        // Nothing was accepted, so the round has no record, but the nodes that were invited in vain have rows.
        commit(.missed(id, train.key, missed))
      }
    }
    commit(.ended(id, step, reason: reason))
    effects.append(.publish(describe(id)))
    effects.append(.roundChanged(id))
    clearStatuses(run)
    effects.append(.collect)
  }

  /// Clears a node's status. After a task's end statuses mean nothing, and those that still arrive are cleared as they come.
  func clearing(_ node: NodeID, _ id: TaskID) -> Effect { .clear(.nodeStatus(coordinator: self.id, node: node, task: id)) }
  mutating func clearStatuses(_ run: TaskRun) { effects += run.roll.nodes.sorted().map { clearing($0, run.id) } }

  /// Ends a round, or a region's order: its record goes to the history, and a summary stays in the machine.
  mutating func complete(_ id: TaskID, _ record: RoundRecord) {
    commit(.completed(id, record, grant: tasks[id]?.specification == nil ? tasks[id]?.grant : nil))
    if let progress = tasks[id]?.progress { commit(.summarized(id, progress)) }
  }

  /// The record of a round that the task's end cut short. It names the accepted contributions as abandoned, so that none disappears.
  private func abandonedRound(_ run: TaskRun, _ reason: String, cutShort: Bool) -> RoundRecord? {
    guard let train = run.train, !(train.accepted.isEmpty && run.evaluation == nil) else { return nil }
    let aggregated = run.stage == .evaluating
    return RoundRecord(
      round: run.round, attempts: run.attempt, base: run.master(of: train.base.digest), result: aggregated ? run.latestModel?.digest : nil,
      strategy: run.specification?.strategy ?? .named("fedavg"),
      updates: aggregated ? fates(train, run.refused) : fates(train, run.refused).map { abandoned($0, reason) },
      evaluations: run.evaluation.map { fates($0, [:]).map { abandoned($0, reason) } } ?? [],
      missed: missedTraining(run, train, cutShort: cutShort && !aggregated),
      metrics: run.centralMetrics, deviceMetrics: nil, seconds: now.seconds(since: run.roundOpened))
  }

  /// The nodes that were invited to a phase and did not deliver: devices that their regions named, and regions for the devices that they
  /// did not name.
  ///
  /// - Parameter cutShort: whether the task ends in the middle of the phase, so that nodes still at work have missed nothing.
  func missedNodes(_ phase: PhaseRun, cutShort: Bool = false) -> [Waiting] {
    phase.nodes.seats.flatMap { node, seat -> [Waiting] in
      guard !phase.nodes.hasDelivered(node) else { return [] }
      let devices = seat.waiting.compactMap { waiting -> Waiting? in
        guard let path = NodeID(rawValue: waiting.node).flatMap({ NodePath(node, $0) }), phase.accepted[path] == nil else { return nil }
        return Waiting(node: path.description, reason: waiting.reason)
      }
      if case .lost(let reason, let fate) = seat.state { return devices + [Waiting(node: node.rawValue, reason: reason, fate: fate)] }
      // A region missed nothing if others delivered in its place.
      let lack = seat.quota - phase.nodes[node].accepted
      guard lack > 0, !cutShort, phase.acceptedDevices < phase.needed else { return devices }
      // A reason that the region gives in addition to what is known of its devices.
      let why = seat.isShort ? seat.reason : nil
      guard lack > devices.count || why != nil else { return devices }
      let reason = "\(lack) of \(seat.quota) devices did not deliver" + (why.map { ": \($0)" } ?? "")
      return devices + [Waiting(node: node.rawValue, reason: reason)]
    }
  }

  /// The nodes that missed a round's training, including those that earlier attempts lost.
  func missedTraining(_ run: TaskRun, _ train: PhaseRun, cutShort: Bool = false) -> [Waiting] {
    let earlier = run.troubles.filter { trouble in
      trouble.fate != nil && NodeID(rawValue: trouble.node).map { train.nodes[$0].seat == nil && train.nodes[$0].accepted == 0 } ?? false
    }
    return earlier + missedNodes(train, cutShort: cutShort)
  }

  /// Records the nodes that missed the round's evaluation. The round's record names only those that missed its training.
  mutating func recordMissedEvaluations(_ id: TaskID, cutShort: Bool = false) {
    guard let run = tasks[id], let train = run.train else { return }
    let own = run.troubles.filter { $0.node == self.id.rawValue }
    let missed = own + (run.evaluation.map { missedNodes($0, cutShort: cutShort) } ?? [])
    if !missed.isEmpty { commit(.missed(id, RoundKey(round: run.round, phase: .evaluate, attempt: train.key.attempt), missed)) }
  }

  /// The contribution as abandoned, if it counted so far. A refused one stays refused.
  func abandoned(_ contribution: ContributionRecord, _ reason: String) -> ContributionRecord {
    guard contribution.fate == .counted else { return contribution }
    var contribution = contribution
    contribution.fate = .abandoned
    contribution.reason = reason
    return contribution
  }

  func fates(_ phase: PhaseRun, _ refused: [String: String]) -> [ContributionRecord] {
    phase.accepted.values.sorted { $0.path < $1.path }.map { contribution in
      guard let reason = refused[contribution.path.description] else { return contribution }
      var contribution = contribution
      contribution.fate = .refused
      contribution.reason = reason
      return contribution
    }
  }

  /// The task's descriptor as it is published now.
  func describe(_ id: TaskID) -> TaskDescriptor {
    guard let run = tasks[id] else { preconditionFailure("task \(id) cannot be described: it does not exist") }
    var descriptor = run.descriptor
    descriptor.secondsLeft = run.isEnded ? nil : max(0, run.expires.seconds(since: run.pausedAt ?? now))
    return descriptor
  }

  /// Removes a task from memory and clears its retained messages a day after its end, when every node has had time to learn of the end. Its
  /// history stays, and its id stays taken.
  mutating func retire(_ id: TaskID) {
    guard let run = tasks[id], let ended = run.endedAt, now >= ended.advanced(bySeconds: Self.retirementSeconds) else { return }
    effects += clearings(of: id)
    clearStatuses(run)
    commit(.retired(id, run.specification == nil ? nil : lastWords(id, run)))
  }

  private func lastWords(_ id: TaskID, _ run: TaskRun) -> RetiredTask? {
    guard let summary = summary(id), let state = roundState(id) else { return nil }
    return RetiredTask(summary: summary, now: state, revision: run.descriptor.revision)
  }

  private static let forgottenKept = 64

  func clearings(of id: TaskID) -> [Effect] {
    [.clear(.task(coordinator: self.id, task: id)), .clear(.round(coordinator: self.id, task: id))]
  }

  mutating func forget(_ id: TaskID) {
    guard let run = tasks[id] else { return }
    forgotten.append(id)
    if forgotten.count > Self.forgottenKept { forgotten.removeFirst() }
    effects += clearings(of: id)
    clearStatuses(run)
    commit(.forgotten(id))
  }
}
