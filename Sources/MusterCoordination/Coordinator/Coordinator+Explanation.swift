import MusterParticipation
package import MusterSchema

// The answer to "why is it waiting?", for `round-state` messages, `muster why` and summaries.
extension Coordinator {
  package func roundState(_ id: TaskID) -> RoundState? {
    guard let run = tasks[id] else { return nil }
    let phase = currentPhase(run)
    let waiting = waitingFor(run)
    let deadline = phase.flatMap { $0.isClosed ? nil : $0.deadline.seconds(since: run.pausedAt ?? now) }
    let count = run.specification == nil ? nil : headcount(run)
    let recruiting = run.stage == .recruiting || run.stage == .waiting
    let shown = Self.fitting(waiting)
    return RoundState(
      task: id, step: step(run), round: run.stage == .recruiting && run.train == nil ? run.round + 1 : run.round,
      rounds: run.descriptor.rounds, attempt: run.attempt, counts: counts(run),
      needed: recruiting ? run.specification?.cohort.minimum ?? 0 : phase?.needed ?? 0,
      have: recruiting
        ? count?.total ?? standing(id)?.readiness.devices ?? 0
        : phase.map { $0.order == nil ? $0.acceptedDevices : $0.nodes.tally.atWork } ?? 0,
      closesInSeconds: deadline.map { max(0, $0) }, why: sentence(run, waiting).brief(1300), waiting: shown,
      more: waiting.count - shown.count, metrics: run.latestMetrics.map { Self.brief($0, first: run.metric?.name) })
  }

  /// The first entries, at most five, that fit in 1,200 bytes of JSON, because a message on a topic has at most 4 KiB.
  private static func fitting(_ waiting: [Waiting]) -> [Waiting] {
    var left = 1200
    return Array(
      waiting.prefix(5).prefix { entry in
        left -= entry.bytesInJSON
        return left >= 0
      })
  }

  /// At most eight metrics, so that they fit in a message on a topic. The task's own metric comes first.
  private static func brief(_ metrics: [String: Double], first: String?) -> [String: Double] {
    let names = [first].compactMap { $0 } + metrics.keys.filter { $0 != first }.sorted()
    return metrics.filter { Set(names.prefix(8)).contains($0.key) }
  }

  package func explanation(_ id: TaskID) -> Explanation? {
    guard let run = tasks[id], let state = roundState(id) else { return nil }
    let waiting = waitingFor(run)
    return Explanation(
      task: id, sentence: state.why, waiting: waiting, troubles: run.troubles, closesInSeconds: state.closesInSeconds)
  }

  package func summary(_ id: TaskID) -> TaskSummary? {
    guard let run = tasks[id], let state = roundState(id) else { return nil }
    return TaskSummary(
      task: id, name: run.descriptor.name, step: state.step, round: state.round, rounds: state.rounds, attempt: state.attempt,
      regions: run.descriptor.regions, metrics: run.latestMetrics, metric: run.metric?.name, why: state.why)
  }

  func currentPhase(_ run: TaskRun) -> PhaseRun? { run.stage == .evaluating ? run.evaluation : run.train }

  private func step(_ run: TaskRun) -> RoundState.Step {
    if case .ended(let step, _) = run.stage { return step }
    if run.isPaused { return .paused }
    switch run.stage {
    case .initializing: return .initializing
    case .recruiting, .waiting: return .recruiting
    case .training: return .training
    case .aggregating, .delivering: return .aggregating
    case .evaluating: return .evaluating
    case .scouting: return run.train?.key.phase == .evaluate ? .evaluating : .training
    case .ended(let step, _): return step
    }
  }

  private func counts(_ run: TaskRun) -> [String: Int] {
    var counts: [String: Int] = [:]
    for status in run.roll.statuses { counts[status.state.rawValue, default: 0] += 1 }
    return counts
  }

  /// The nodes that the task waits for, with the reasons, in a stable order.
  func waitingFor(_ run: TaskRun) -> [Waiting] {
    switch run.stage {
    case .training, .scouting: run.train.map { waiting(run, $0, limit: 1000) } ?? []
    case .evaluating: run.evaluation.map { $0.isClosed ? [] : waiting(run, $0, limit: 1000) } ?? []
    case .recruiting, .waiting: absentees(run)
    case .initializing, .aggregating, .delivering, .ended: []
    }
  }

  private func absentees(_ run: TaskRun) -> [Waiting] {
    guard run.specification != nil else { return standing(run.id)?.readiness.waiting ?? [] }
    return run.descriptor.regions.sorted().flatMap { region -> [Waiting] in
      guard nodes[region]?.online == true else { return [Waiting(node: region.rawValue, reason: "the region is offline")] }
      if let seconds = silence(of: region) {
        return [Waiting(node: region.rawValue, reason: "the region has been silent for \(Int(seconds)) s: it did not answer an invitation")]
      }
      guard let status = run.roll[region] else {
        return [Waiting(node: region.rawValue, reason: "the region has not answered the descriptor yet")]
      }
      let declined = (status.waiting ?? []).map { Waiting(node: "\(region)/\($0.node)", reason: $0.reason) }
      if (status.devices ?? 0) == 0, declined.isEmpty {
        return [Waiting(node: region.rawValue, reason: "none of the region's devices is ready")]
      }
      return declined
    }
  }

  func waiting(_ run: TaskRun, _ phase: PhaseRun, limit: Int) -> [Waiting] {
    var list: [Waiting] = []
    // A scout waits only for the seats that are not done, and is often asked for only the first five of them.
    let seats = phase.order == nil ? phase.nodes.seats : phase.nodes.pendingSeats(most: limit)
    for (node, seat) in seats where list.count < limit {
      let missing = phase.order == nil ? max(seat.quota, seat.have) - phase.nodes[node].accepted : 1
      guard missing > 0, !phase.nodes.hasDelivered(node) else { continue }
      switch seat.state {
      case .done: continue
      case .invited:
        let reason =
          seat.invitedAt == nil ? "its invitation has not been sent yet" : "invited \(wholeSeconds(seat.since)) ago, no answer yet"
        list.append(Waiting(node: node.rawValue, reason: reason))
      case .lost(let reason, _):
        list.append(Waiting(node: node.rawValue, reason: seat.replacement.map { "\(reason); replaced by \($0)" } ?? reason))
      case .working(let progress):
        if phase.order == nil {
          let named = seat.waiting.prefix(limit - list.count).filter { waiting in
            NodeID(rawValue: waiting.node).flatMap { NodePath(node, $0) }.map { phase.accepted[$0] == nil } ?? true
          }
          list += named.map { Waiting(node: "\(node)/\($0.node)", reason: $0.reason) }
          if named.isEmpty {
            let away = nodes[node]?.online == false ? "; the region is offline" : ""
            let devices = "\(missing) of the region's devices \(missing == 1 ? "has" : "have")"
            list.append(Waiting(node: node.rawValue, reason: "\(devices) not delivered\(away)"))
          }
        } else {
          let percent = progress.flatMap(wholePercent).map { ", \($0) %" } ?? ""
          list.append(Waiting(node: node.rawValue, reason: "\(seat.reason ?? "at work")\(percent)"))
        }
      }
    }
    return list
  }

  /// The percentage that a device reports; `nil` if it is not a number.
  private func wholePercent(_ fraction: Double) -> Int? {
    fraction.isFinite ? Int((min(max(fraction, 0), 1) * 100).rounded()) : nil
  }

  private func wholeSeconds(_ since: Instant) -> String { "\(Int(max(0, now.seconds(since: since)))) s" }

  private func sentence(_ run: TaskRun, _ waiting: [Waiting]) -> String {
    if case .ended(let step, let reason) = run.stage { return reason.isEmpty ? step.rawValue : "\(step.rawValue): \(reason)" }
    let paused = run.isPaused ? "paused by an operator; when resumed: " : ""
    let deaf = isConnected ? "" : "\(id) is not connected to its broker; "
    return deaf + paused + activity(run, waiting) + unreported(run)
  }

  /// A note about a stop metric that no evaluation reports: such a task runs to its last round. It appears from the first evaluation on.
  func unreported(_ run: TaskRun) -> String {
    guard let (metric, reported) = run.unreportedStop else { return "" }
    let names = reported.prefix(5).joined(separator: ", ") + (reported.count > 5 ? ", …" : "")
    return "; no evaluation reports the stop metric \(metric), only \(names)"
  }

  private func activity(_ run: TaskRun, _ waiting: [Waiting]) -> String {
    let names = waiting.isEmpty ? "" : ": \(Sentences.waiting(waiting))"
    switch run.stage {
    case .initializing: return "\(id) is making the initial model" + delay(run, .initialize)
    case .recruiting:
      guard let specification = run.specification else { return "recruiting" }
      let count = headcount(run)
      let needed = max(1, specification.cohort.minimum - (run.train?.acceptedDevices ?? 0))
      // Devices that have delivered are not needed again.
      let ready = count.total - (run.train?.deliveredDevices ?? 0)
      let round = run.train == nil ? run.round + 1 : run.round
      var text = "round \(round) waits for devices: \(max(0, ready)) ready, \(needed) needed"
      if ready >= needed, count.fraction < specification.cohort.ready {
        text = "round \(round) waits for more devices: only \(Int(count.fraction * 100)) % of the devices that answered are ready"
        text += ", but the task requires \(Int(specification.cohort.ready * 100)) % (cohort.ready)"
      }
      if run.train != nil, let last = run.lastReason { text += " (attempt \(run.attempt + 1); last problem: \(last))" }
      return text + names
    case .training: return progress(run, run.train, "updates", names)
    case .aggregating:
      return "round \(run.round): \(id) is aggregating \(run.train?.accepted.count ?? 0) \(noun(run.train))" + delay(run, .aggregate)
    case .delivering:
      return "round \(run.round): \(id) is delivering the combined contribution of its \(run.train?.accepted.count ?? 0) devices"
    case .evaluating:
      let own = run.centralEvaluates ? "round \(run.round): \(id) is evaluating the new model" + delay(run, .evaluate) : ""
      guard let evaluation = run.evaluation, !evaluation.isClosed else { return own.isEmpty ? "round \(run.round) is complete" : own }
      return (own.isEmpty ? "" : own + "; ") + progress(run, evaluation, "evaluations", names)
    case .waiting: return "\(id) waits for an invitation from central; \(standing(run.id)?.readiness.devices ?? 0) devices ready" + names
    case .scouting:
      guard let phase = run.train else { return "scouting" }
      let tally = phase.nodes.tally
      return "round \(run.round): \(tally.atWork) of \(phase.needed) devices are at work or done, \(tally.done) of them done" + names
    case .ended(let step, let reason): return "\(step.rawValue): \(reason)"
    }
  }

  /// The trouble that long work currently waits for, if it is known.
  private func delay(_ run: TaskRun, _ work: Work) -> String {
    guard let delay = run.delay, delay.work == work, work == .initialize || delay.round == run.round else { return "" }
    return "; this will be retried until the problem is resolved: \(delay.reason)"
  }

  private func noun(_ phase: PhaseRun?) -> String { phase?.key.phase == .evaluate ? "evaluations" : "updates" }

  private func progress(_ run: TaskRun, _ phase: PhaseRun?, _ noun: String, _ names: String) -> String {
    guard let phase else { return "round \(run.round)" }
    let attempt = phase.key.attempt > 1 ? ", attempt \(phase.key.attempt)" : ""
    let text = "round \(run.round)\(attempt) waits for \(max(0, phase.needed - phase.acceptedDevices)) of \(phase.needed) \(noun)"
    let lost = run.troubles.isEmpty ? "" : "; this round so far: \(Sentences.troubles(run.troubles))"
    return text + names + lost
  }
}

extension Coordinator {
  /// The node's last status in each open task.
  package func openStatuses(of node: NodeID) -> [NodeStatus] {
    openTasks.compactMap { tasks[$0]?.roll[node] }
  }
}
