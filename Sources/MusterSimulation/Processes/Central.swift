package import MusterCoordination
internal import MusterSchema

/// The central server: the root coordinator in its shell, its long work, and the data plane as the ledger of every round.
package final class CentralProcess: ServerPerformer, LedgerServer, ClientOwner {
  package let shell: ServerDriver<Coordinator>
  let name = "central"
  let site: Int
  unowned let world: World
  let client: Client
  /// Connections that its machine has not heard of yet.
  private(set) var connecting = 0
  var blobs: BlobShelf
  private var work = WorkDriver<Fold.ID, Fold>(width: 2) { _, _ in }
  /// Whether its machine said in this life what it owes.
  private var hasSaidOwed = false
  private(set) lazy var desk = LedgerDesk(
    world, ledger: .central, machine: { [unowned self] in machine }, life: { [unowned self] in isUp ? life : nil },
    post: { [unowned self] in shell.post($0) }, store: { [unowned self] in blobs.add($0, at: world.time) },
    grant: { [unowned self] run, path in Grant(secret: world.secret, task: run.id).descendant(path) })

  init(_ world: World, site: Int, broker: Broker, regions: [NodeID]) {
    self.world = world
    self.site = site
    blobs = BlobShelf(name: "central")
    let configuration = CoordinatorConfiguration(data: "http://central:7400", declared: Set(regions))
    shell = ServerDriver(world) { Coordinator(id: .central, configuration: configuration, restoring: $0) }
    client = Client(
      name, .coordinator(world.directory.number(NodeID.central)), site: site, broker: broker, clientID: world.newClientID(),
      keepAlive: world.plan.keepAlive, patience: 2000, forgetsOnDisconnect: true)
    shell.attach(self)
    client.attach(self)
  }

  package var isUp: Bool { shell.isUp }
  var life: Int { shell.life }
  package var machine: Coordinator { shell.machine }

  // MARK: Life

  package func start() {
    shell.start()
    connecting = 0
    let life = shell.life
    work = WorkDriver(width: 2) { [unowned self] piece, done in
      piece.run(
        in: world, isFull: { [unowned self] in shell.disk.isFailing }, isAlive: { [unowned self] in isUp && self.life == life }, done)
    }
    hasSaidOwed = false
    world.auditor.restarted(self)
    world.note(.life, name, "starts")
    // Long work that is owed starts without a broker, too.
    shell.post(.connected) { [unowned self] outcome in hasSaidOwed = outcome == .committed }
    shell.post(.disconnected)
    client.start(in: world)
  }

  /// - Parameter power: its power is cut: nobody speaks for it, and what was not synced may be gone.
  package func die(power: Bool = false) { shell.die(power: power) }

  func died(power: Bool) {
    world.note(.life, name, power ? "loses its power" : "dies")
    desk.removeAll()
    work.removeAll()
    client.die(power: power, in: world)
    if power { blobs.losePower() }
    world.died(self)
  }

  // MARK: The shell's performer

  func committed(_ records: [Coordinator.Record], at instant: Instant, before: Coordinator) {
    for record in records {
      world.trace.begin(world.time, .commit)
      world.fold(record)
      world.trace.add("\(world.clock) \(name.padded(14)) commits \(world.text(record).prefix(400))")
      world.auditor.committed(record, at: instant, by: .central)
    }
  }

  func perform(_ effect: Coordinator.Effect, of machine: Coordinator) {
    switch effect {
    case .publish(let descriptor):
      world.auditor.says(descriptor)
      say(.descriptor(descriptor), .task(coordinator: .central, task: descriptor.task))
    case .invite(let node, let invitation):
      world.auditor.invites(invitation)
      world.auditor.asks(node, invitation, by: .central)
      let grant = Grant(secret: world.secret, task: invitation.task)
      let invitation = invitation.admitting(node, by: grant, asScout: true)
      let topic = Topic.invitation(coordinator: .central, node: node, task: invitation.task)
      client.publish(Packet(world.key(topic), .invitation(invitation), retained: false), onlyNow: true, in: world)
    case .roundChanged(let task):
      world.windowChanged(machine, task)
      if world.plants(.collectsYoungBlobs) { blobs.collect(keeping: machine.referencedBlobs, at: world.time, eagerly: true) }
    case .clear(let topic): say(.cleared, topic)
    case .initialize(let task): add(.initialize, task, 0, machine)
    case .aggregate(let task, let round): add(.aggregate, task, round, machine)
    case .evaluate(let task, let round): add(.evaluate, task, round, machine)
    case .answer(let reply, let answer): desk.resolve(reply, answer)
    case .collect: blobs.collect(keeping: machine.referencedBlobs, at: world.time, eagerly: world.plants(.collectsYoungBlobs))
    // A scout's: central has none.
    default: break
    }
  }

  func performed(of machine: Coordinator) {
    world.auditor.examine(machine, of: self)
    if world.plants(.forgetsSilence) {
      for node in machine.nodes.values where node.online && machine.silence(of: node.node) != nil { shell.post(.node(node)) }
    }
    guard hasSaidOwed else { return }
    for (task, run) in machine.tasks where run.isAggregating {
      let contributions = run.frozenUpdates?.contributions.count
      world.auditor.check(
        work.contains { $0.id.task == task && $0.id.key.round == run.round && $0.id.contributions == contributions },
        "task \(task): round \(run.round) waits for central's aggregation, and nobody works on that")
    }
  }

  func failed(_ events: [Coordinator.Event], isFirst: Bool) {
    desk.failed(events)
    // What came from topics is lost with the batch: it is read again.
    if world.plants(.lostTopicsAreNotReadAgain) ? isFirst : events.contains(where: { !$0.isRepeated }) {
      client.renew(after: 1000, in: world)
    }
  }

  private func say(_ payload: Payload, _ topic: Topic) { client.publish(Packet(world.key(topic), payload), onlyNow: true, in: world) }

  // MARK: Topics

  func connected(_: Client) {
    world.auditor.losesTrack(of: .central)
    if world.plants(.forgetsOwed), shell.life > 1 { return }
    connecting += 1
    shell.post(.connected) { [unowned self] _ in connecting -= 1 }
  }
  func disconnected(_: Client) {
    world.auditor.losesTrack(of: .central)
    shell.post(.disconnected)
  }

  func presence(_: Client, online: Bool, session: String) -> Payload {
    .coordinator(CoordinatorState(coordinator: .central, online: online, session: session, data: "http://central:7400"))
  }

  func received(_ packet: Packet, retained: Bool, by client: Client) {
    if !retained { world.auditor.hears(packet, by: .central) }
    if let event = world.coordinatorEvent(packet, retained: retained, nodes: shell.machine.nodes) { shell.post(event) }
    world.reconcile(packet, retained: retained, shell.machine, coordinator: .central, client)
  }

  // MARK: Long work

  private func add(_ kind: Coordinator.Work, _ task: TaskID, _ round: Int, _ machine: Coordinator) {
    guard let result = result(kind, task, round, machine) else { return }
    let contributions = kind == .aggregate ? machine.tasks[task]?.frozenUpdates?.contributions.count ?? 0 : 0
    let id = Fold.ID(kind: kind, task: task, key: RoundKey(round: round, phase: .train, attempt: 0), contributions: contributions)
    let fold = Fold(id: id) { [unowned self] trouble, done in
      report(trouble.map { .workFailed(task, kind, round: round, reason: $0) } ?? result(), done)
    }
    work.add(fold.queueKey(world), fold)
    world.auditor.bound(work.count, 32, "central's work queue")
  }

  /// What the work will give, from what is copied out of the machine now.
  private func result(_ kind: Coordinator.Work, _ task: TaskID, _ round: Int, _ machine: Coordinator) -> (() -> Coordinator.Event)? {
    guard let run = machine.tasks[task], let specification = run.specification else { return nil }
    switch kind {
    case .initialize:
      let model = ModelReference(digest: world.digest("\(task)/0"), bytes: 1000)
      return { [unowned self] in
        blobs.add(model.digest, at: world.time)
        return .initialized(task, model)
      }
    case .aggregate:
      guard var contributions = run.frozenUpdates?.contributions else { return nil }
      if world.plants(.foldsWithoutTheLast), contributions.count > 1 { contributions.removeLast() }
      let model = ModelReference(digest: world.modelDigest(task, round, contributions), bytes: 1000)
      let refused = contributions.compactMap { update in
        world.refusesUpdates(update.path).map { Waiting(node: update.path.description, reason: $0) }
      }
      // Of regions that aggregate one is enough.
      let fewest = specification.upload == .region ? 1 : max(1, min(world.fewestUpdates, specification.cohort.minimum))
      if contributions.count - refused.count < fewest {
        return { .fellShort(task, round: round, refused: refused, reason: "the rule needs \(fewest) updates") }
      }
      return { [unowned self] in
        // What nobody waits for any more may be collected.
        let isWanted = self.machine.tasks[task].map { $0.isAggregating && $0.round == round } ?? false
        for update in contributions where isWanted && !blobs.contains(update.digest) {
          world.auditor.fails("the update \(update.path) of round \(round) of \(task) counts, and is not in central's store")
        }
        blobs.add(model.digest, at: world.time)
        return .aggregated(task, round: round, model, refused: refused)
      }
    case .evaluate:
      guard run.models.contains(where: { $0.round == round }) else { return nil }
      return { [unowned self] in
        if world.random.chance(world.plan.evaluationFails) {
          return .workFailed(task, .evaluate, round: round, reason: "the trainer ran out of memory")
        }
        return .evaluated(task, round: round, metrics: world.metrics(round))
      }
    }
  }

  /// A result of long work is not lost to a full disk: it is handed over until it is durable.
  private func report(_ event: Coordinator.Event, _ done: @escaping () -> Void) {
    let life = shell.life
    shell.post(event) { [unowned self] outcome in
      if outcome == .committed || world.plants(.reportsWorkOnce) { return done() }
      world.after(1000) { [unowned self] _ in if isUp, self.life == life { report(event, done) } }
    }
  }
}

/// The blobs of a server: what is referred to, and what a collection takes away.
struct BlobShelf {
  let name: String
  private var arrived: [Digest: Int64] = [:]
  private var referenced: Set<Digest> = []
  private var released: Set<Digest> = []

  init(name: String) { self.name = name }

  func contains(_ digest: Digest) -> Bool { arrived[digest] != nil }
  mutating func add(_ digest: Digest, at time: Int64) { arrived[digest] = time }

  /// As `BlobCollector`: what loses its last reference goes, unless it just came again.
  mutating func collect(keeping fresh: Set<Digest>, at time: Int64, eagerly: Bool) {
    released = released.union(referenced).subtracting(fresh)
    referenced = fresh
    if eagerly { released = Set(arrived.keys).subtracting(fresh) }
    for digest in released {
      guard let since = arrived[digest], eagerly || since <= time - 10_000 else { continue }
      arrived[digest] = nil
      released.remove(digest)
    }
  }

  /// Blobs are synced before anybody hears of them: nothing is lost. What was referred to is learned anew.
  mutating func losePower() {
    referenced = []
    released = []
  }
}
