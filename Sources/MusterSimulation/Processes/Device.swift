import MusterCoordination
package import MusterParticipation
package import MusterSchema

/// A device: its participant in the agent's small shell, a worker that does one thing at a time, and a trainer that only takes time.
package final class DeviceProcess: ClientOwner {
  package enum Outcome {
    case finishes(after: Int64)
    case fails(String, after: Int64)
    case hangs
  }

  package let id: NodeID
  package let region: NodeID
  let name: String
  let site: Int
  unowned let world: World
  let client: Client
  package private(set) var machine: Participant
  package internal(set) var disk = DeviceDisk()
  package private(set) var isUp = false
  package private(set) var life = 0
  var diesAtBoundary: Int?
  package var diesAfterRecords: Int?
  var lie: Lie?
  /// Tickets of earlier invitations, which a liar collects.
  var ticketsSeen: [TicketScope: Ticket] = [:]
  /// Set while the owner's policy declines, with the reason.
  var declines: String?

  package var labels: [String: String] = [:]
  package var resources = Resources(cores: 4, load: 0.1, memoryMiB: 1000, diskMiB: 1000)
  package var trainer: (Job) -> Outcome = { $0.key.phase == .train ? .finishes(after: 2000) : .finishes(after: 500) }
  /// Jobs that the trainer was started for.
  package internal(set) var started: [Job] = []

  var steps = DeviceSteps()
  /// Whether it trains, uploads or asks, or has a step to do so.
  package var isAtWork: Bool { steps.queue.count > 0 }
  /// Whether its trainer is one that never ends.
  var hangs = false
  private var events: [Participant.Event] = []
  private var isBusy = false
  private var timer = 0
  private var base = Instant.zero
  private var since: Int64 = 0

  init(_ world: World, id: NodeID, region: NodeID, site: Int, broker: Broker, twin: Bool = false) {
    self.world = world
    self.id = id
    self.region = region
    self.site = site
    name = twin ? "\(id)'" : id.rawValue
    machine = Participant(id: id, coordinator: region, capacity: 1)
    client = Client(
      name, .participant(world.directory.number(id), of: world.directory.number(region)), site: site, broker: broker,
      clientID: 0, keepAlive: world.plan.keepAlive, patience: world.plan.devicePatience, forgetsOnDisconnect: false)
    client.attach(self)
  }

  var now: Instant { Instant(milliseconds: base.milliseconds + world.time - since) }

  // MARK: Life

  package func start() {
    machine = Participant(id: id, coordinator: region, capacity: 1, restoring: disk.kept)
    base = disk.lastInstant
    since = world.time
    life += 1
    isUp = true
    events = []
    isBusy = false
    diesAtBoundary = nil
    client.clientID = world.newClientID()
    disk.removeOrphans(except: Set(machine.jobs.values.map { Self.fileName($0.task, $0.key) }))
    steps.removeAll()
    hangs = false
    world.note(.life, name, "starts")
    client.start(in: world)
    probeLater()
    babbleLater()
  }

  /// - Parameter power: whether it loses its power: then no kernel closes its connections, and what was not synced may be gone.
  package func die(power: Bool = false) {
    guard isUp else { return }
    isUp = false
    world.note(.life, name, power ? "loses its power" : "dies")
    client.die(power: power, in: world)
    if power { disk.losePower(&world.random) }
    steps.removeAll()
    world.died(self)
  }

  /// Stops in order: publishes that it is offline.
  func stop() {
    guard isUp else { return }
    client.leave(in: world)
    isUp = false
    world.note(.life, name, "stops in order")
    steps.removeAll()
    world.died(self)
  }

  private func boundary() -> Bool {
    guard let left = diesAtBoundary else { return isUp }
    diesAtBoundary = left - 1
    guard left <= 1 else { return true }
    diesAtBoundary = nil
    die(power: world.random.chance(0.3))
    return false
  }

  // MARK: Steps

  package func receive(_ event: Participant.Event) {
    guard isUp else { return }
    events.append(event)
    guard !isBusy else { return }
    isBusy = true
    while !events.isEmpty {
      let now = now
      let (records, effects) = machine.handle(events.removeFirst(), at: now)
      if !records.isEmpty {
        guard boundary() else { return }
        commit(records, at: now)
        guard boundary() else { return }
      }
      for effect in effects {
        perform(effect)
        guard boundary() else { return }
      }
    }
    isBusy = false
    setAlarm()
  }

  private func commit(_ records: [Participant.Record], at now: Instant) {
    disk.commit(records, at: now)
    for record in records {
      world.trace.begin(world.time, .commit)
      world.trace.fold(name)
      world.trace.fold(record.kind)
      world.trace.fold(record.task.rawValue)
      world.trace.add("\(world.clock) \(name.padded(14)) commits \(world.text(record).prefix(300))")
    }
    if let last = diesAfterRecords, disk.journal.count >= last {
      diesAfterRecords = nil
      die(power: false)
    }
  }

  private func perform(_ effect: Participant.Effect) {
    switch effect {
    case .status(let status, let lasting): say(status, lasting: lasting)
    case .announce: client.announce(in: world)
    case .check(let task): events.append(.readiness(task, readiness(task)))
    case .start(let job):
      if lie == .saysDone {
        say(
          NodeStatus(
            node: id, task: job.task, state: .done, round: job.key.round, attempt: job.key.attempt, phase: job.key.phase, devices: 1),
          lasting: true)
      } else {
        place(.train, job)
      }
    case .upload(let job): place(.upload, job)
    case .ask(let job): place(.ask, job)
    case .cancel(let task, let key, _): if !cancel(task, key) { disk.remove(Self.fileName(task, key)) }
    case .descriptor: break
    }
  }

  func say(_ status: NodeStatus, lasting: Bool) {
    let topic = Topic.nodeStatus(coordinator: region, node: id, task: status.task)
    client.publish(Packet(world.key(topic), .status(status), lasting: lasting), onlyNow: false, in: world)
  }

  static func fileName(_ task: TaskID, _ key: RoundKey) -> String { "\(task).\(key.round).\(key.phase == .train ? "t" : "e")" }

  // MARK: Readiness

  private func readiness(_ task: TaskID) -> Readiness {
    guard let descriptor = machine.tasks[task] else { return .declined("does not know the task") }
    if let declines { return .declined(declines, retrySeconds: 5) }
    return Admission.mismatch(descriptor, state(online: true, session: client.session)).map { .declined($0) } ?? .ready
  }

  private func state(online: Bool, session: String) -> NodeState {
    guard online else { return NodeState(node: id, online: false, session: session) }
    return NodeState(
      node: id, online: true, session: session, nodeKind: .device, labels: labels, capabilities: Capabilities(trainers: ["built-in"]),
      resources: resources)
  }

  /// Checks its resources every `probe` milliseconds.
  private func probeLater() {
    let life = life
    world.after(world.plan.probe) { [unowned self] _ in
      guard isUp, self.life == life else { return }
      for task in machine.tasks.keys.sorted() where machine.tasks[task]?.state == .open { receive(.readiness(task, readiness(task))) }
      probeLater()
    }
  }

  // MARK: Topics

  func connected(_: Client) {
    receive(.connected)
    compareLists()
  }

  func disconnected(_: Client) {}

  func presence(_: Client, online: Bool, session: String) -> Payload { .node(state(online: online, session: session)) }

  func received(_ packet: Packet, retained: Bool, by client: Client) {
    switch packet.payload {
    case .coordinator(let state) where state.coordinator == region:
      let isNew = state.session != machine.coordinatorState?.session
      receive(.coordinator(state))
      if isNew { compareLists() }
    case .descriptor(let descriptor): receive(.descriptor(descriptor))
    case .cleared where packet.key.kind == .task:
      if machine.tasks[world.directory.tasks[packet.key.task]]?.state.isFinal == false { compareLists() }
    case .invitation(let invitation):
      if lie == .silent { return }
      if machine.tasks[invitation.task] != nil { receive(.readiness(invitation.task, readiness(invitation.task))) }
      receive(.invitation(invitation))
    default: break
    }
  }

  /// Forgets tasks that the region does not list, with their jobs.
  private func compareLists() {
    let tasks = Set(machine.tasks.values.filter { !$0.state.isFinal }.map(\.task)).union(machine.jobs.keys).sorted()
    guard isUp, !tasks.isEmpty, machine.coordinatorState?.data != nil, let server = world.region(region) else { return }
    let life = life
    world.exchange(
      from: site, with: server, serve: { answer in answer(server.machine.coordinator.descriptors.map(\.task)) },
      done: {
        [unowned self] (listed: [TaskID]?) in
        guard isUp, self.life == life else { return }
        guard let listed else { return world.after(5000) { [unowned self] _ in if isUp, self.life == life { compareLists() } } }
        for task in tasks where !listed.contains(task) && machine.tasks[task]?.state.isFinal != true { receive(.forget(task)) }
      })
  }

  // MARK: Time

  private func setAlarm() {
    timer += 1
    guard let deadline = machine.nextDeadline else { return }
    let (timer, life) = (timer, life)
    world.at(max(world.time + 1, since + deadline.milliseconds - base.milliseconds + 1)) { [unowned self] _ in
      guard self.timer == timer, self.life == life, isUp else { return }
      receive(.tick)
      world.auditor.ticked(name, wasUseful: machine.nextDeadline.map { $0 > now } ?? true)
    }
  }
}
