internal import MusterParticipation
internal import MusterSchema

// Recruiting at the root: wait until enough devices are ready, then invite a cohort, split over the regions.
extension Coordinator {
  /// The ready and the declining devices, over all nodes.
  struct Headcount {
    var total = 0
    var declined = 0
    var fraction: Double { total + declined == 0 ? 0 : Double(total) / Double(total + declined) }
  }

  func headcount(_ run: TaskRun) -> Headcount {
    isConnected ? Headcount(total: run.roll.ready, declined: run.roll.declined) : Headcount()
  }

  /// Regions with ready devices, sorted by id.
  func readyRegions(_ run: TaskRun) -> [(node: NodeID, devices: Int)] { isConnected ? run.roll.readyNodes : [] }

  mutating func recruit(_ id: TaskID) {
    guard let run = tasks[id], let specification = run.specification, let model = run.latestModel else { return }
    let cohort = specification.cohort
    let accepted = run.train?.acceptedDevices ?? 0
    // The last attempt passed its deadline. Contributions that have arrived since may complete the minimum.
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
    // Free devices are at most the ready ones. They are counted only after a first attempt, because before it all ready devices are free.
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
    // A seat's quota includes what its node delivered in earlier attempts. The node's scout counts in the same way.
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

  /// Ready devices without those that delivered in this round, which are not needed again. A region that aggregates has delivered for all
  /// of its devices.
  private func freeDevices(_ run: TaskRun) -> [(node: NodeID, devices: Int)] {
    readyRegions(run).map { node, devices in
      guard let train = run.train else { return (node, devices) }
      return (node, train.nodes.hasDelivered(node) ? 0 : max(0, devices - train.nodes[node].accepted))
    }
  }

  /// Whether to open a round with enough devices for the minimum but fewer than wanted. Devices that have yet to answer get a moment, so
  /// that the round is not left to the first ones. It ends once the count has not grown for `graceSeconds`, or after five times that.
  private mutating func hasSettled(_ id: TaskID, _ count: Int) -> Bool {
    var gathering = tasks[id]?.gathering ?? (count, now, now)
    if count > gathering.count { gathering.grew = now }
    gathering.count = max(count, gathering.count)
    tasks[id]?.gathering = gathering
    return tasks[id].flatMap(settles).map { now >= $0 } ?? false
  }

  /// After updates were refused, gives other devices the time of a round to become ready. Those that delivered are not asked again, and the
  /// fleet may have no others.
  private mutating func waitForOthers(_ id: TaskID) {
    guard let run = tasks[id], let train = run.train, !train.refused.isEmpty else { return }
    guard isConnected else {
      tasks[id]?.train?.idleSince = nil
      return
    }
    tasks[id]?.train?.idleSince = train.idleSince ?? now
    guard let until = tasks[id].flatMap(givesUp), now >= until else { return }
    end(id, .failed, "\(run.lastReason ?? "updates were refused"); no other devices became ready in time", cutShort: false)
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
      // Spread the starts by a second for every fifty devices: a small cohort starts at once, a large one does not start all together.
      startWithin: crowd <= 50 ? 0 : min(30, Double(crowd) / 50))
  }
}

extension Int {
  /// A count of devices that came over the wire, bounded so that no sum of such counts overflows.
  var asDevices: Int { Swift.min(Swift.max(0, self), 1_000_000) }
}
