package import MusterCoordination
package import MusterSchema

/// A regional server: its machine in the shell, a connection above and one below, its questions to the ledger, and the models that it hands on.
package final class RegionProcess: ServerPerformer, LedgerServer, ClientOwner {
  package let id: NodeID
  package let shell: ServerDriver<RegionMachine>
  let name: String
  let site: Int
  unowned let world: World
  let above: Client
  let below: Client
  /// Connections below that its machine has not heard of yet.
  private(set) var connecting = 0
  /// Models that were fetched, and what devices and the region itself made.
  private var blobs: BlobShelf
  private(set) lazy var desk = LedgerDesk(
    world, ledger: id, machine: { [unowned self] in machine.coordinator }, life: { [unowned self] in isUp ? life : nil },
    post: { [unowned self] in shell.post(.below($0)) }, store: { [unowned self] in blobs.add($0, at: world.time) },
    grant: { run, path in run.grant(of: path) })
  private var orders = WorkDriver<Fold.ID, Fold>(width: 2) { _, _ in }
  /// Whether its machine said in this life what it owes below.
  private var hasSaidOwed = false
  private var deliveries = WorkDriver<String, (@escaping () -> Void) -> Void>(width: 4) { _, _ in }
  private var questions = WorkDriver<String, (@escaping () -> Void) -> Void>(width: 4) { _, _ in }
  private var window = StatusWords()
  private var flushIsDue = false
  /// Nothing was ever committed here before this start.
  /// A new store knows too little to judge what stands on the region's topics, until central has listed its tasks.
  private var storeIsNew = true
  private var hasLeftAlone = false

  init(_ world: World, id: NodeID, site: Int, above: Broker, below: Broker) {
    self.world = world
    self.id = id
    self.site = site
    name = id.rawValue
    blobs = BlobShelf(name: id.rawValue)
    let configuration = CoordinatorConfiguration(data: "http://\(id):7410")
    shell = ServerDriver(world) { RegionMachine(id: id, above: .central, configuration: configuration, restoring: $0) }
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
    storeIsNew = shell.disk.journal.isEmpty
    hasLeftAlone = false
    shell.start()
    connecting = 0
    window = StatusWords()
    flushIsDue = false
    questions = WorkDriver(width: 4) { ask, done in ask(done) }
    deliveries = WorkDriver(width: 4) { deliver, done in deliver(done) }
    let life = shell.life
    orders = WorkDriver(width: 2) { [unowned self] piece, done in
      piece.run(
        in: world, isFull: { [unowned self] in shell.disk.isFailing }, isAlive: { [unowned self] in isUp && self.life == life }, done)
    }
    hasSaidOwed = false
    world.auditor.restarted(self)
    world.note(.life, name, "starts")
    shell.post(.below(.disconnected))
    above.start(in: world)
    below.start(in: world)
  }

  /// - Parameter power: its power is cut: nobody speaks for it, and what was not synced may be gone.
  package func die(power: Bool = false) { shell.die(power: power) }

  /// Its disk is empty from now on; to be called before it dies.
  package func losesDisk() {
    shell.disk.forgetEverything()
    world.auditor.forgets(self)
  }

  func died(power: Bool) {
    world.note(.life, name, power ? "loses its power" : "dies")
    questions.removeAll()
    orders.removeAll()
    deliveries.removeAll()
    desk.removeAll()
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

  func perform(_ effect: RegionMachine.Effect, of machine: RegionMachine) {
    switch effect {
    case .status(let status, let lasting): window.take(status, lasting: lasting)
    case .announce: above.announce(in: world)
    case .ask(let job): ask(job)
    case .upload(let job):
      deliveries.add(
        "\(job.task)/\(job.key.round)/\(job.key.phase)", { [unowned self] done in deliver(job, attempt: 1, done) }, again: true)
    case .below(.collect): blobs.collect(keeping: machine.referencedBlobs, at: world.time, eagerly: world.plants(.collectsYoungBlobs))
    case .below(let effect): perform(effect, machine.coordinator)
    }
  }

  func performed(of machine: RegionMachine) {
    for status in window.due(at: world.time) { say(status) }
    flushLater()
    world.auditor.examine(machine, of: self)
    let coordinator = machine.coordinator
    if world.plants(.forgetsSilence) {
      for node in coordinator.nodes.values where node.online && coordinator.silence(of: node.node) != nil {
        shell.post(.below(.node(node)))
      }
    }
    guard hasSaidOwed else { return }
    for (task, run) in machine.coordinator.tasks where run.isAggregating {
      world.auditor.check(
        orders.contains { $0.id.task == task && $0.id.key == run.order?.key },
        "task \(task): round \(run.round) waits for \(id) to combine what its devices made, and nobody works on that")
    }
  }

  private func perform(_ effect: Coordinator.Effect, _ machine: Coordinator) {
    switch effect {
    case .publish(let descriptor): say(.descriptor(descriptor), .task(coordinator: id, task: descriptor.task))
    case .invite(let node, let invitation):
      // Forgotten in the same batch.
      guard machine.tasks[invitation.task] != nil else { return }
      world.auditor.invites(invitation, by: self)
      world.auditor.asks(node, invitation, by: id)
      guard let grant = machine.tasks[invitation.task]?.order?.grant else {
        return world.auditor.fails("\(id) invites \(node) and has no grant to make a ticket of")
      }
      let invitation = invitation.admitting(node, by: grant, asScout: false)
      let topic = Topic.invitation(coordinator: id, node: node, task: invitation.task)
      below.publish(Packet(world.key(topic), .invitation(invitation), retained: false), onlyNow: true, in: world)
    case .roundChanged(let task): world.windowChanged(machine, task)
    case .clear(let topic): if topic.coordinator == id { say(.cleared, topic) }
    case .consult(let task): consult(task, machine)
    case .aggregate(let task, _): combine(task, machine)
    case .answer(let reply, let answer): desk.resolve(reply, answer)
    // The root's.
    default: break
    }
  }

  func failed(_ events: [RegionMachine.Event], isFirst: Bool) {
    desk.failed(events.compactMap { if case .below(let event) = $0 { event } else { nil } })
    guard world.plants(.lostTopicsAreNotReadAgain) ? isFirst : events.contains(where: { !$0.isRepeated }) else { return }
    above.renew(after: 1000, in: world)
    below.renew(after: 1000, in: world)
  }

  private func say(_ payload: Payload, _ topic: Topic) { below.publish(Packet(world.key(topic), payload), onlyNow: true, in: world) }

  private func say(_ word: StatusWords.Word) {
    let topic = Topic.nodeStatus(coordinator: .central, node: id, task: word.status.task)
    above.publish(Packet(world.key(topic), .status(word.status), lasting: word.lasting), onlyNow: true, in: world)
  }

  /// What had to wait for its second.
  private func flushLater() {
    guard window.isPending, !flushIsDue else { return }
    flushIsDue = true
    let life = life
    world.after(1000) { [unowned self] _ in
      guard isUp, self.life == life else { return }
      flushIsDue = false
      for word in window.due(at: world.time) { say(word) }
      flushLater()
    }
  }

  // MARK: Topics

  func connected(_ client: Client) {
    if world.plants(.forgetsOwed), shell.life > 1 { return }
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
      let nodes = shell.machine.coordinator.nodes
      if let event = world.coordinatorEvent(packet, retained: retained, nodes: nodes) { shell.post(.below(event)) }
      if world.reconcile(packet, retained: retained, shell.machine.coordinator, coordinator: id, client, storeIsNew: storeIsNew) {
        hasLeftAlone = true
      }
      return
    }
    switch packet.payload {
    case .coordinator(let state):
      shell.post(.above(.coordinator(state)))
      if state.online, state.data != nil { reconcile() }
    case .descriptor(let descriptor):
      guard descriptor.regions.contains(id) else { return }
      let participant = machine.participant
      let isNew = participant.tasks[descriptor.task] == nil
      shell.post(.above(.descriptor(descriptor))) { [unowned self] outcome in
        // Another central may have left it there: the one that is there now says whether it has such a task, once it is known here.
        if isNew, outcome == .committed, isUp, participant.coordinatorState?.online == true { reconcile() }
      }
    case .invitation(let invitation):
      fetch(invitation.base.digest) { _ in }
      shell.post(.above(.invitation(invitation)))
    case .node, .status, .round, .cleared, .garbage: break
    }
  }

  // MARK: Questions to the ledger

  private func ask(_ job: Job) {
    let (task, key, life) = (job.task, job.key, life)
    questions.add(
      "ask/\(task)",
      { [unowned self] done in
        ledger(task, key) { [unowned self] answer in
          guard isUp, self.life == life else { return }
          switch answer {
          case .some(let ledger?) where ledger.accepted.contains(NodePath(id)): shell.post(.above(.delivered(task, key)))
          case .some(let ledger?):
            shell.post(.above(ledger.open ? .confirmed(task, key) : .refused(task, key, reason: "the round is closed")))
          case .some(.none): shell.post(.above(.refused(task, key, reason: "there is no such round")))
          // Asked again when central shows itself; until then the order stands.
          case .none: shell.post(.above(.confirmed(task, key)))
          }
          done()
        }
      }, again: true)
  }

  private func consult(_ task: TaskID, _ machine: Coordinator) {
    guard let order = machine.tasks[task]?.order else { return }
    let life = life
    questions.add(
      "consult/\(task)",
      { [unowned self] done in
        ledger(task, order.key) { [unowned self] answer in
          guard isUp, self.life == life else { return }
          if case .some(let ledger?) = answer { shell.post(.below(.ledger(ledger))) }
          done()
        }
      }, again: true)
    world.auditor.bound(questions.count, 64, "the questions of \(id)")
  }

  /// - Parameter done: nil: no answer; nil inside: central knows no such round.
  private func ledger(_ task: TaskID, _ key: RoundKey, _ done: @escaping (PhaseLedger??) -> Void) {
    let central = world.central
    world.exchange(
      from: site, with: central, serve: { answer in answer(.some(central.desk.ledger(task, key.round, key.phase))) }, done: done)
  }

  /// A cleared topic means nothing by itself: the region asks which tasks there are, until central answers.
  private func reconcile() {
    if world.plants(.neverAsksForTheList) { return }
    let life = life
    questions.add(
      "reconcile",
      { [unowned self] done in
        let known = shell.machine.coordinator.tasks.values.filter { !$0.isEnded }.map(\.id).sorted()
        reconcile(known, attempt: 1, life, done)
      }, again: true)
  }

  private func reconcile(_ known: [TaskID], attempt: Int, _ life: Int, _ done: @escaping () -> Void) {
    let central = world.central
    world.exchange(
      from: site, with: central, serve: { answer in answer(central.machine.descriptors) },
      done: {
        [unowned self] (descriptors: [TaskDescriptor]?) in
        guard isUp, self.life == life else { return }
        guard let descriptors else {
          world.after(min(30_000, 1000 << Int64(min(attempt, 5)))) { [unowned self] _ in
            if isUp, self.life == life { reconcile(known, attempt: attempt + 1, life, done) }
          }
          return
        }
        let listed = Set(descriptors.map(\.task))
        for descriptor in descriptors where descriptor.regions.contains(id) { shell.post(.above(.descriptor(descriptor))) }
        for task in known where !listed.contains(task) { shell.post(.above(.forget(task))) }
        // One that was heard meanwhile is younger than the answer, or nothing that central knows: it is asked once more.
        let open = shell.machine.coordinator.tasks.values.filter { !$0.isEnded }.map(\.id).sorted()
        guard open.contains(where: { !listed.contains($0) && !known.contains($0) }) else {
          judge()
          return done()
        }
        world.after(1000) { [unowned self] _ in
          if isUp, self.life == life { reconcile(open, attempt: 1, life, done) }
        }
      })
  }

  /// From now on it knows enough: what it left alone is read again.
  private func judge() {
    let readsAgain = storeIsNew && hasLeftAlone
    storeIsNew = false
    if readsAgain { below.renew(after: 1000, in: world) }
  }

  // MARK: What it keeps

  func holds(_ digest: Digest) -> Bool { blobs.contains(digest) }
  func keep(_ digest: Digest) { blobs.add(digest, at: world.time) }
  func addOrder(_ fold: Fold) { orders.add(fold.queueKey(world), fold) }

  /// From the cache, or through from central.
  ///
  /// - Parameter done: whether it is here; nil when central does not answer.
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

/// What a region says of itself above, as `StatusWindow` has it: of one batch only the newest word on each task, and passing ones once a second.
struct StatusWords {
  struct Word {
    var status: NodeStatus
    var lasting: Bool
  }

  private var batch: [TaskID: Word] = [:]
  private var pending: [TaskID: NodeStatus] = [:]
  private var said: [TaskID: Int64] = [:]

  var isPending: Bool { !pending.isEmpty }

  mutating func take(_ status: NodeStatus, lasting: Bool) {
    batch[status.task] = Word(status: status, lasting: lasting || batch[status.task]?.lasting ?? false)
  }

  /// What is to be said now.
  mutating func due(at time: Int64) -> [Word] {
    var due: [Word] = []
    for (task, word) in batch.sorted(by: { $0.key < $1.key }) {
      if word.lasting {
        pending[task] = nil
        said[task] = time
        due.append(word)
      } else {
        pending[task] = word.status
      }
    }
    batch = [:]
    for task in pending.keys.filter({ task in said[task].map { time - $0 >= 1000 } ?? true }).sorted() {
      said[task] = time
      if let status = pending.removeValue(forKey: task) { due.append(Word(status: status, lasting: false)) }
    }
    return due
  }
}
