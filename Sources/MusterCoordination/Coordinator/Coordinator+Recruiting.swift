internal import MusterParticipation
internal import MusterSchema

// Recruiting at the root: wait until enough devices are ready, then invite a cohort, split over the regions.
extension Coordinator {
  /// What the nodes say of their readiness.
  struct Headcount {
    var total = 0
    var declined = 0
    var fraction: Double { total + declined == 0 ? 0 : Double(total) / Double(total + declined) }
  }

  func headcount(_ run: TaskRun) -> Headcount {
    isConnected ? Headcount(total: run.roll.ready, declined: run.roll.declined) : Headcount()
  }

  /// Regions with devices that are ready, by id.
  func readyRegions(_ run: TaskRun) -> [(node: NodeID, devices: Int)] { isConnected ? run.roll.readyNodes : [] }

  mutating func recruit(_ id: TaskID) {
    guard let run = tasks[id], let specification = run.specification, let model = run.latestModel else { return }
    let cohort = specification.cohort
    let accepted = run.train?.acceptedDevices ?? 0
    // The last attempt's time was up: what came late may be what was missing.
    if let train = run.train, accepted >= train.minimum {
      close(id, .train)
      return
    }
    if run.train == nil, run.round > 0, let why = stopReason(id) {
      end(id, .completed, why)
      return
    }
    let count = headcount(run)
    let (wanted, fewest) = (max(1, cohort.size - accepted), max(1, cohort.minimum - accepted))
    // Free devices are at most those that are ready. They are counted only after a first attempt: before it, all are free.
    let mustLook = run.train != nil && count.total >= fewest
    let available = mustLook ? freeDevices(run).reduce(0) { $0 + $1.devices } : count.total
    guard available >= fewest, count.fraction >= cohort.ready else {
      tasks[id]?.gathering = nil
      waitForOthers(id)
      return
    }
    tasks[id]?.train?.idleSince = nil
    guard available >= wanted || hasSettled(id, count.total) else { return }
    tasks[id]?.gathering = nil
    let invited = Int((Double(wanted) * cohort.over).rounded(.up))
    let free = freeDevices(run)
    let quotas = split(min(invited, count.total), over: free.map(\.devices))
    // A seat's quota counts what its node has delivered in earlier attempts, as the node's scout does.
    let seats = zip(free.map(\.node), quotas).filter { $0.1 > 0 }.map { node, quota in
      (node, quota + (run.train?.nodes[node].accepted ?? 0))
    }
    let round = run.train == nil ? run.round + 1 : run.round
    let seed = Seeds.phase(specification.local, round: round, .train)
    let opening = PhaseOpening(
      key: RoundKey(round: round, phase: .train, attempt: run.attempt + 1), base: model.distributed,
      seed: seed, needed: accepted + min(wanted, quotas.reduce(0, +)), minimum: cohort.minimum,
      deadline: now.advanced(bySeconds: cohort.seconds),
      cohort: Dictionary(uniqueKeysWithValues: seats), order: nil)
    commit(.opened(id, opening))
    inviteNext(id, .train)
    effects.append(.roundChanged(id))
  }

  /// Devices that already delivered in this round are not needed again, and a region that aggregates has delivered for all of its own.
  private func freeDevices(_ run: TaskRun) -> [(node: NodeID, devices: Int)] {
    readyRegions(run).map { node, devices in
      guard let train = run.train else { return (node, devices) }
      return (node, train.nodes.hasDelivered(node) ? 0 : max(0, devices - train.nodes[node].accepted))
    }
  }

  /// Enough for the minimum, but fewer than wanted: those who are on their way get a moment, so that the first to answer are not the only
  /// ones. The moment ends when nobody comes any more, or after five.
  private mutating func hasSettled(_ id: TaskID, _ count: Int) -> Bool {
    var gathering = tasks[id]?.gathering ?? (count, now, now)
    if count > gathering.count { gathering.grew = now }
    gathering.count = max(count, gathering.count)
    tasks[id]?.gathering = gathering
    return tasks[id].flatMap(settles).map { now >= $0 } ?? false
  }

  /// After updates were refused, others get the time of a round to show themselves. Who delivered is not asked again, and a fleet may have
  /// nobody else.
  private mutating func waitForOthers(_ id: TaskID) {
    guard let run = tasks[id], let train = run.train, !train.refused.isEmpty else { return }
    guard isConnected else {
      tasks[id]?.train?.idleSince = nil
      return
    }
    tasks[id]?.train?.idleSince = train.idleSince ?? now
    guard let until = tasks[id].flatMap(givesUp), now >= until else { return }
    end(id, .failed, "\(run.lastReason ?? "updates were refused"); no other devices were ready meanwhile", cutShort: false)
  }

  func givesUp(_ run: TaskRun) -> Instant? {
    guard let train = run.train, !train.refused.isEmpty, let specification = run.specification else { return nil }
    return train.idleSince?.advanced(bySeconds: specification.cohort.seconds)
  }

  func settles(_ run: TaskRun) -> Instant? {
    run.gathering.map {
      min($0.grew.advanced(bySeconds: configuration.graceSeconds), $0.since.advanced(bySeconds: 5 * configuration.graceSeconds))
    }
  }

  mutating func invite(_ node: NodeID, _ id: TaskID, _ phase: PhaseSlot) {
    guard let run = tasks[id], let round = run[phase], let seat = round.nodes[node].seat else { return }
    tasks[id]?[phase]?.nodes[node].seat?.invited(at: now)
    if seat.state == .invited { awaitWord(of: node) }
    effects.append(.invite(node, invitation(run, round, node, seat)))
  }

  func invitation(_ run: TaskRun, _ phase: PhaseRun, _ node: NodeID, _ seat: Seat) -> Invitation {
    let kind = phase.key.phase == .train ? "updates" : "evaluations"
    let own = "\(configuration.data)/v1/tasks/\(run.id)/rounds/\(phase.key.round)/\(kind)"
    let upload =
      switch phase.order {
      case nil: "\(own)/\(node)"
      case _? where run.isLedger: "\(own)/\(id)/\(node)"
      case let order?: "\(order.upload)/\(node)"
      }
    let crowd = phase.nodes.tally.quota
    return Invitation(
      task: run.id, revision: run.descriptor.revision, key: phase.key, quota: seat.quota,
      minimum: run.specification == nil
        ? seat.quota : min(seat.quota, split(phase.minimum, over: [seat.quota, max(0, crowd - seat.quota)])[0]),
      base: phase.base, upload: upload, seed: phase.seed, secondsLeft: max(0, phase.deadline.seconds(since: now)),
      // One more second of spread for each fifty devices: at once for a small cohort, no herd for a big one.
      startWithin: crowd <= 50 ? 0 : min(30, Double(crowd) / 50))
  }
}

extension Int {
  /// A count of devices that came over the wire: bounded, so that no sum of them overflows.
  var asDevices: Int { Swift.min(Swift.max(0, self), 1_000_000) }
}
