package import MusterCoordination
internal import MusterParticipation
package import MusterSchema
internal import MusterShell

/// A regional server: its machine in the shell, a connection above and one below, its questions to the ledger, and the models that it
/// passes on to devices.
package final class RegionProcess: ServerPerformer, LedgerServer, ClientOwner {
  package let id: NodeID
  package let shell: ServerDriver<RegionMachine>
  let name: String
  let site: Int
  unowned let world: World
  let above: Client
  let below: Client
  /// Connections below that its machine has not been told of yet.
  private(set) var connecting = 0
  /// Models that were fetched, and results of devices and of the region itself.
  private var blobs: BlobShelf
  private(set) lazy var dataPlane = DataPlane(
    world, ledger: id, machine: { [unowned self] in machine.coordinator }, history: { [unowned self] in shell.disk.history },
    life: { [unowned self] in isUp ? life : nil },
    post: { [unowned self] in shell.post(.below($0)) }, store: { [unowned self] in blobs.add($0, at: world.time) },
    grant: { run, path in run.grant(of: path) })
  private var pieces = WorkDriver<WorkKey, LongWork<SimulatedWork<RegionMachine.Event>>>(width: 2) { _, _ in }
  /// Whether its machine has already repeated, since this start, what it owes to the devices below.
  private var hasSaidOwed = false
  private var deliveries = WorkDriver<String, (@escaping () -> Void) -> Void>(width: 4) { _, _ in }
  private var questions = WorkDriver<String, (@escaping () -> Void) -> Void>(width: 4) { _, _ in }
  private var desk: RegionDesk

  init(_ world: World, id: NodeID, site: Int, above: Broker, below: Broker) {
    self.world = world
    self.id = id
    self.site = site
    name = id.rawValue
    blobs = BlobShelf(name: id.rawValue)
    desk = RegionDesk(id, above: .central, storeIsNew: true)
    var configuration = CoordinatorConfiguration(data: "http://\(id):7410")
    configuration.faults = world.plan.faults
    shell = ServerDriver(world) { [configuration] records, instant in
      var configuration = configuration
      configuration.storeIsNew = records.isEmpty && instant == .zero
      return RegionMachine(id: id, above: .central, configuration: configuration, restoring: records, at: instant)
    }
    let number = world.directory.number(id)
    self.above = Client(
      "\(id)-above", .participant(number, of: world.directory.number(NodeID.central)), site: site, broker: above,
      clientID: world.newClientID(), keepAlive: world.plan.keepAlive, patience: 2000, forgetsOnDisconnect: true)
    self.below = Client(
      "\(id)-below", .coordinator(number), site: site, broker: below, clientID: world.newClientID(),
      keepAlive: world.plan.keepAlive, patience: 2000, forgetsOnDisconnect: true)
    shell.attach(self)
    self.above.attach(self)
    self.below.attach(self)
  }

  package var isUp: Bool { shell.isUp }
  var life: Int { shell.life }
  package var machine: RegionMachine { shell.machine }

  // MARK: Life

  package func start() {
    desk = RegionDesk(id, above: .central, storeIsNew: shell.disk.journal.isEmpty, faults: world.plan.faults)
    shell.start()
    connecting = 0
    questions = WorkDriver(width: 4) { ask, done in ask { done(.finished) } }
    deliveries = WorkDriver(width: 4) { deliver, done in deliver { done(.finished) } }
    pieces = WorkDriver(width: 2, after: shell.after) { [unowned self] piece, done in
      if piece.item.key.isWanted(by: machine.coordinator) { shell.carryOut(piece, done) } else { done(.finished) }
    }
    hasSaidOwed = false
    world.auditor.restarted(self)
    world.note(.life, name, "starts")
    // Long work that is owed also starts without a broker.
    shell.post(.below(.connected)) { [unowned self] outcome in hasSaidOwed = outcome == .committed }
    shell.post(.below(.disconnected))
    above.start(in: world)
    below.start(in: world)
  }

  /// - Parameter power: whether it loses its power: then no kernel closes its connections, and what was not synced may be gone.
  package func die(power: Bool = false) { shell.die(power: power) }

  /// Empties its disk. To be called before it dies.
  package func losesDisk() {
    shell.disk.forgetEverything()
    world.auditor.forgets(self)
  }

  func died(power: Bool) {
    world.note(.life, name, power ? "loses its power" : "dies")
    questions.removeAll()
    pieces.removeAll()
    deliveries.removeAll()
    dataPlane.removeAll()
    if power { blobs.losePower() }
    above.die(power: power, in: world)
    below.die(power: power, in: world)
    world.died(self)
  }

  // MARK: The shell's performer

  func committed(_ records: [RegionMachine.Record], at instant: Instant, before: RegionMachine) {
    for record in records {
      world.trace.begin(world.time, .commit)
      world.trace.fold(name)
      world.trace.fold(record.kind)
      world.trace.fold(record.task.rawValue)
      world.trace.add("\(world.clock) \(name.padded(14)) commits \(world.text(record).prefix(400))")
      world.auditor.committed(record, at: instant, by: self)
      if case .below(let record) = record { world.auditor.committed(record, at: instant, by: id) }
    }
  }

  var next: Instant? { desk.next }

  func perform(_ effect: RegionMachine.Effect, of machine: RegionMachine) {
    if let command = desk.command(for: effect, of: machine) { carryOut(command) }
  }

  private func carryOut(_ command: RegionDesk.Command) {
    switch command {
    case .publish(let publication): world.publish(publication, by: id, below)
    case .work(let key, let item): pieces.add(key, LongWork(combination(item), faults: world.plan.faults))
    case .answer(let reply, let answer): dataPlane.resolve(reply, answer)
    case .collect(let referenced):
      blobs.collect(keeping: referenced.union(shell.disk.history.keptBlobs), at: world.time, eagerly: world.plants(.collectsYoungBlobs))
    case .evicted: break
    case .own(let own): carryOut(own)
    }
  }

  private func carryOut(_ command: RegionDesk.Own) {
    switch command {
    case .publishAbove(let publication): world.publish(publication, by: id, above)
    case .announce: above.announce(in: world)
    case .ask(let question):
      questions.add(question.queueKey, { [unowned self] done in ask(question, done) }, again: true)
      world.auditor.bound(questions.count, 64, "the questions of \(id)")
    case .deliver(let delivery):
      deliveries.add(delivery.queueKey, { [unowned self] done in deliver(delivery, attempt: 1, done) }, again: true)
    case .lacksGrant(let task): world.auditor.fails("\(id) invites for \(task) without a grant to derive tickets from")
    }
  }

  func performed(of machine: RegionMachine) {
    for command in desk.due(of: machine, at: shell.now) { carryOut(command) }
    world.auditor.examine(machine, of: self)
    guard hasSaidOwed else { return }
    for (task, run) in machine.coordinator.tasks where run.isAggregating {
      world.auditor.check(
        pieces.contains { $0.item.key.task == task && $0.item.key.roundKey == run.order?.key },
        "task \(task): round \(run.round) waits for \(id) to combine its devices' contributions, but the work queue has no such work")
    }
  }

  func failed(_ events: [RegionMachine.Event], areDropped: Bool) {
    dataPlane.failed(events.compactMap { if case .below(let event) = $0 { event } else { nil } })
    let readsAgain = desk.readsTopicsAgain(after: events, areDropped: areDropped)
    world.auditor.loses(areDropped ? [] : events.filter { !$0.isRepeated }, readsAgain: readsAgain, by: id)
    guard readsAgain else { return }
    above.renew(after: 1000, in: world)
    below.renew(after: 1000, in: world)
  }

  // MARK: Topics

  func connected(_ client: Client) {
    guard client === below else {
      shell.post(.above(.connected))
      return
    }
    connecting += 1
    world.auditor.losesTrack(of: id)
    shell.post(.below(.connected)) { [unowned self] outcome in
      connecting -= 1
      if outcome == .committed { hasSaidOwed = true }
    }
  }

  func disconnected(_ client: Client) {
    guard client === below else { return }
    world.auditor.losesTrack(of: id)
    shell.post(.below(.disconnected))
  }

  func presence(_ client: Client, online: Bool, session: String) -> Payload {
    client === above
      ? .node(NodeState(node: id, online: online, session: session, nodeKind: .region, data: online ? "http://\(id):7410" : nil))
      : .coordinator(CoordinatorState(coordinator: id, online: online, session: session, data: "http://\(id):7410"))
  }

  func received(_ packet: Packet, retained: Bool, by client: Client) {
    guard client === above else {
      if !retained { world.auditor.hears(packet, by: id) }
      if let event = world.coordinatorEvent(packet, retained: retained) { shell.post(.below(event)) }
      if let (task, found) = world.descriptor(packet, retained: retained) {
        for publication in desk.repair(found, of: task, owed: machine) { carryOut(.publish(publication)) }
      }
      return
    }
    switch packet.payload {
    case .coordinator(let state):
      shell.post(.above(.coordinator(state)))
      list(from: state)
    case .descriptor(let descriptor):
      guard descriptor.regions.contains(id) else { return }
      let participant = machine.participant
      let isNew = participant.tasks[descriptor.task] == nil
      shell.post(.above(.descriptor(descriptor))) { [unowned self] outcome in
        // Another central may have left it there. Once the task is known here, the present central is asked whether it has such a task.
        if isNew, outcome == .committed, isUp, let central = participant.coordinatorState { list(from: central) }
      }
    case .invitation(let invitation):
      fetch(invitation.base.digest) { _ in }
      shell.post(.above(.invitation(invitation)))
    case .node, .status, .round, .cleared, .garbage: break
    }
  }

  // MARK: Questions to the ledger

  private func ask(_ question: Question, _ done: @escaping () -> Void) {
    let (central, life) = (world.central, life)
    world.exchange(
      from: site, with: central,
      serve: { answer in answer(.some(central.dataPlane.ledger(question.task, question.key.round, question.key.phase))) },
      done: {
        [unowned self] (ledger: PhaseLedger??) in
        guard isUp, self.life == life else { return }
        let answer: Question.Answer =
          switch ledger {
          case .some(let ledger?): .ledger(ledger)
          case .some(.none): .none(reason: "central has no such round")
          case .none: .silence
          }
        if let event = question.event(for: answer, to: id) { shell.post(event) }
        done()
      })
  }

  /// Asks which tasks exist, until central answers.
  private func list(from state: CoordinatorState) {
    guard desk.listing(from: state) != nil else { return }
    questions.add("list", { [unowned self] done in list(TaskListing(for: machine), life, done) }, again: true)
  }

  private func list(_ listing: TaskListing, _ life: Int, _ done: @escaping () -> Void) {
    let central = world.central
    world.exchange(
      from: site, with: central, serve: { answer in answer(central.machine.descriptors) },
      done: {
        [unowned self] (descriptors: [TaskDescriptor]?) in
        guard isUp, self.life == life else { return }
        var listing = listing
        var next = TaskListing.Next.settled
        if let descriptors {
          let events: [RegionMachine.Event]
          (events, next) = listing.answered(descriptors, machine)
          for event in events { shell.post(event) }
        } else {
          next = listing.failed()
        }
        guard case .ask(let pause) = next else {
          if desk.knowsTheTasks() { below.renew(after: 1000, in: world) }
          return done()
        }
        world.after(Int64(pause * 1000)) { [unowned self] _ in if isUp, self.life == life { list(listing, life, done) } }
      })
  }

  // MARK: Blobs

  func holds(_ digest: Digest) -> Bool { blobs.contains(digest) }
  func keep(_ digest: Digest) { blobs.add(digest, at: world.time) }

  /// Fetches a blob from the cache, or from central.
  ///
  /// - Parameter done: is called with whether the blob is here; `nil` if central does not answer.
  func fetch(_ digest: Digest, _ done: @escaping (Bool?) -> Void) {
    if blobs.contains(digest) { return done(true) }
    let (central, life) = (world.central, life)
    world.exchange(
      from: site, with: central, serve: { answer in answer(central.blobs.contains(digest)) },
      done: {
        [unowned self] (found: Bool?) in
        guard isUp, self.life == life else { return }
        if found == true { blobs.add(digest, at: world.time) }
        done(found)
      })
  }
}
