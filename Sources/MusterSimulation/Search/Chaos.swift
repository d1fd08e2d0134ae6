internal import MusterCoordination
internal import MusterParticipation
internal import MusterSchema

/// Causes the faults of a scenario in a world, and ends them.
struct Chaos {
  let scenario: Scenario

  /// Starts all processes, pushes the tasks and begins with the faults.
  func begin(_ world: World) {
    prepare(world)
    world.start()
    for push in scenario.pushes { world.at(push.at) { $0.push(push.task, push.specification) } }
    world.at(300) { self.next($0) }
    world.at(scenario.faulty) { heal($0) }
  }

  private func prepare(_ world: World) {
    world.restartsAfter = nil
    let scenario = scenario
    for device in world.devices {
      let slowness: Int64 = scenario.has(.slowNodes) && world.random.chance(0.3) ? world.random.within(3...20) : 1
      let failing: Double = scenario.has(.failingTrainers) ? world.random.pick([0.1, 0.3]) ?? 0.1 : 0
      let site = device.site
      if slowness > 1 { world.network.distance[site] = world.random.within(0...400) }
      if scenario.has(.lies), world.random.chance(0.3) { device.lie = world.random.pick(Lie.allCases) }
      device.resources.load = world.random.fraction() * 4
      device.trainer = { [unowned world] job in
        let isFaulty = world.time < scenario.faulty
        let milliseconds = world.random.within(job.key.phase == .train ? 300...3000 : 100...900) * (isFaulty ? slowness : 1)
        guard isFaulty, failing > 0 else { return .finishes(after: milliseconds) }
        if world.random.chance(failing) { return .fails(world.random.chance(0.5) ? "no luck" : "no memory", after: 200) }
        return world.random.chance(failing / 4) ? .hangs : .finishes(after: milliseconds)
      }
    }
    if scenario.has(.operators) || scenario.has(.lies) {
      // Sometimes so many updates are refused that too few are left.
      let one: UInt64 = world.random.chance(0.3) ? 2 : 16
      world.fewestUpdates = world.random.within(1...4)
      world.refusesUpdates = { [unowned world] path in
        guard world.time < scenario.faulty else { return nil }
        let hash = path.nodes.reduce(UInt64(bitPattern: world.time)) { Generator.mix($0 &+ UInt64($1.rawValue.utf8.last ?? 0)) }
        return hash % one == 0 ? "its norm is out of range" : nil
      }
    }
    if scenario.has(.poison), let poisoned = scenario.pushes.first?.task {
      // Permanently: later commits do not take the record either.
      world.unstorable = { task, kind in task == poisoned && kind == "closed" }
    }
    world.isFaulty = true
    world.network.weather = weather(&world.random)
    if scenario.has(.failingDisks) {
      world.central.shell.disk.latency = 1...40
      for region in world.regions { region.shell.disk.latency = 1...40 }
    }
  }

  private func weather(_ random: inout Generator) -> NetworkConditions.Weather {
    var weather = NetworkConditions.Weather()
    func probability(_ trouble: Scenario.Trouble, _ choices: [Double]) -> Double { scenario.has(trouble) ? random.pick(choices) ?? 0 : 0 }
    weather.breaking = probability(.breaking, [0.005, 0.02])
    weather.silentLoss = probability(.silentLoss, [0.005, 0.03])
    weather.duplicate = probability(.duplicates, [0.05, 0.2])
    weather.reorder = probability(.reordering, [0.05, 0.2])
    weather.hiccup = probability(.hiccups, [0.01, 0.05])
    weather.lostRequest = probability(.lostExchanges, [0.05, 0.2])
    weather.lostAnswer = probability(.lostExchanges, [0.05, 0.3])
    return weather
  }

  // MARK: Faults

  private func next(_ world: World) {
    guard world.time < scenario.faulty - 500 else { return }
    strike(world)
    world.after(world.random.within(50...(2 * scenario.pace))) { self.next($0) }
  }

  private func strike(_ world: World) {
    let kinds: [Scenario.Trouble] = [
      .halfOpen, .partitions, .brokerDeath, .centralCrashes, .regionCrashes, .deviceCrashes, .freezes, .failingDisks, .moods, .operators,
      .vandals, .breaking, .secondCentral,
    ]
    guard let kind = world.random.pick(kinds.filter(scenario.has)) else { return }
    switch kind {
    case .halfOpen: halfOpen(world)
    case .partitions: partition(world)
    case .brokerDeath: brokerDeath(world)
    case .centralCrashes: crashCentral(world)
    case .regionCrashes: if let region = world.random.pick(world.regions) { crash(region, world) }
    case .deviceCrashes: if let device = world.random.pick(world.devices) { crash(device, world) }
    case .freezes: freeze(world)
    case .failingDisks: failDisk(world)
    case .moods: changeMood(world)
    case .operators: operate(world)
    case .vandals: vandalize(world)
    case .secondCentral: startSecondCentral(world)
    case .breaking: if let connection = anyConnection(world) { world.breakConnection(connection) }
    default: break
    }
  }

  /// A random duration for a fault; most are short.
  private func duration(_ world: World) -> Int64 {
    let longest: Int64 = world.random.chance(0.2) ? 15_000 : 3000
    return min(world.random.within(50...longest), max(1, scenario.faulty - world.time))
  }

  private func anyConnection(_ world: World) -> Connection? { world.random.pick(world.clients.compactMap(\.connection)) }

  private func halfOpen(_ world: World) {
    guard let connection = anyConnection(world), !connection.isHalfOpen else { return }
    world.note(.fault, connection.client.name, "its connection is half open")
    world.watchSilence(connection)
    connection.isHalfOpen = true
  }

  private func partition(_ world: World) {
    let sites = world.siteCount
    let one = world.random.within(0...(sites - 1))
    // Cuts one site off from all others, or from one other site.
    let others = world.random.chance(0.5) ? Array(0..<sites) : [world.random.within(0...(sites - 1))]
    let pairs = others.filter { $0 != one }
    world.note(.fault, "network", "cuts site \(one) from \(pairs)")
    for other in pairs { world.network.block(one, other, 1) }
    world.silence()
    world.after(duration(world)) { world in
      world.note(.fault, "network", "site \(one) reaches \(pairs) again")
      for other in pairs { world.network.block(one, other, -1) }
      world.reopen()
    }
  }

  private func brokerDeath(_ world: World) {
    guard let broker = world.random.pick(world.brokers), broker.isUp else { return }
    // The broker's persistence writes a snapshot now and then.
    if world.random.chance(0.5) { return broker.saveSnapshot() }
    let memory = world.random.pick([Broker.Memory.kept, .snapshot, .lost]) ?? .lost
    world.kill(broker, memory)
    // Both lose the same power supply: the broker publishes no Will for the device, and remembers that it was online.
    let near = world.devices.filter { $0.client.broker === broker && $0.isUp }
    if memory != .lost, world.random.chance(0.4) { world.random.pick(near)?.die(power: true) }
    world.after(duration(world)) { world in
      broker.start()
      world.note(.fault, broker.name, "is back")
    }
  }

  private func crashCentral(_ world: World) {
    let central = world.central
    guard central.isUp else { return }
    if world.random.chance(0.6) {
      central.shell.diesAtBoundary = world.random.within(1...8)
    } else {
      central.die(power: world.random.chance(0.4))
    }
  }

  private func crash(_ region: RegionProcess, _ world: World) {
    guard region.isUp else { return }
    if world.random.chance(0.6) {
      region.shell.diesAtBoundary = world.random.within(1...8)
    } else {
      if world.random.chance(0.08) { region.losesDisk() }
      region.die(power: world.random.chance(0.4))
    }
  }

  private func crash(_ device: DeviceProcess, _ world: World) {
    guard device.isUp else { return }
    let draw = world.random.fraction()
    if draw < 0.5 {
      device.diesAtBoundary = world.random.within(1...8)
    } else if draw < 0.65 {
      device.stop()
    } else {
      if draw < 0.7 { device.disk.forgetEverything() }
      device.die(power: world.random.chance(0.4))
    }
  }

  private func freeze(_ world: World) {
    let until = world.time + duration(world)
    if world.random.chance(0.5) {
      world.central.shell.frozenUntil = until
    } else {
      world.random.pick(world.regions)?.shell.frozenUntil = until
    }
  }

  private func failDisk(_ world: World) {
    let region = world.random.chance(0.5) ? nil : world.random.pick(world.regions)
    let length = duration(world)
    if world.random.chance(0.5) {
      fill(region, world, for: length) { _ in }
    } else {
      flicker(region, world, until: world.time + length)
    }
  }

  /// - Parameter region: the region whose disk is full; `nil` for central.
  private func fill(_ region: RegionProcess?, _ world: World, for length: Int64, then next: @escaping (World) -> Void) {
    world.note(.fault, region?.name ?? "central", "its disk is full")
    set(isFailing: true, region, world)
    world.after(length) { world in
      set(isFailing: false, region, world)
      next(world)
    }
  }

  /// Fills the disk for some milliseconds at a time, as when another program writes files on it and deletes them.
  private func flicker(_ region: RegionProcess?, _ world: World, until end: Int64) {
    fill(region, world, for: world.random.within(5...200)) { world in
      world.after(world.random.within(5...200)) { world in if world.time < end { flicker(region, world, until: end) } }
    }
  }

  private func set(isFailing: Bool, _ region: RegionProcess?, _ world: World) {
    region?.shell.disk.isFailing = isFailing
    if region == nil { world.central.shell.disk.isFailing = isFailing }
  }

  private func changeMood(_ world: World) {
    guard let device = world.random.pick(world.devices) else { return }
    device.declines = device.declines == nil ? "its owner plays a game" : nil
    device.resources.load = world.random.fraction() * 8
  }

  private func operate(_ world: World) {
    guard world.central.isUp, let push = world.random.pick(scenario.pushes) else { return }
    let task = push.task
    let draw = world.random.fraction()
    let event: Coordinator.Event =
      draw < 0.35
      ? .pause(task) : draw < 0.75 ? .resume(task) : draw < 0.95 ? .evaluate(task) : .cancel(task, reason: "cancelled by an operator")
    guard world.central.machine.tasks[task] != nil else { return }
    world.central.shell.post(event)
  }

  /// A client with too many rights clears a retained topic, or leaves garbage on it.
  private func vandalize(_ world: World) {
    guard let broker = world.random.pick(world.brokers), broker.isUp, let key = world.random.pick(broker.retained.keys.sorted()) else {
      return
    }
    guard key.kind == .task || key.kind == .coordinatorState || key.kind == .nodeState else { return }
    world.note(.fault, broker.name, "a vandal clears or overwrites \(world.directory.topic(key))")
    world.publish(Packet(key, world.random.chance(0.8) ? .cleared : .garbage), at: broker)
  }

  /// Starts a second central for about as long as an operator needs to notice the mistake.
  private func startSecondCentral(_ world: World) {
    guard world.secondCentral == nil, let push = scenario.pushes.first else { return }
    world.startSecondCentral(push.specification)
    world.after(world.random.within(3000...15_000)) { $0.endSecondCentral() }
  }

  // MARK: End of the faults

  private func heal(_ world: World) {
    world.note(.fault, "world", "faults stop")
    world.network.weather = NetworkConditions.Weather()
    world.isFaulty = false
    world.restartsAfter = 500
    world.restartsDevices = true
    for broker in world.brokers where !broker.isUp { broker.start() }
    world.reopenAll()
    world.central.heal()
    for region in world.regions { region.heal() }
    for device in world.devices { device.heal() }
    world.endSecondCentral()
    for push in scenario.pushes where world.central.machine.tasks[push.task] != nil { world.after(100) { resume(push.task, $0) } }
  }

  private func resume(_ task: TaskID, _ world: World) {
    guard world.central.isUp else { return world.after(500) { resume(task, $0) } }
    world.central.shell.post(.resume(task)) { outcome in if outcome != .committed { world.after(500) { resume(task, $0) } } }
  }
}
