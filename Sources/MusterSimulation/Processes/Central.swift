package import MusterCoordination
internal import MusterParticipation
internal import MusterSchema
internal import MusterShell

/// The central server: the root coordinator in its shell, its long work, and the data plane as the ledger of every round.
package final class CentralProcess: ServerPerformer, LedgerServer, ClientOwner {
  package let shell: ServerDriver<Coordinator>
  let name = "central"
  let site: Int
  unowned let world: World
  let client: Client
  /// Connections that its machine has not been told of yet.
  private(set) var connecting = 0
  var blobs: BlobShelf
  private var work = WorkDriver<WorkKey, LongWork<SimulatedWork<Coordinator.Event>>>(width: 2) { _, _ in }
  private var desk: CentralDesk
  /// Whether its machine has already repeated, since this start, what it owes.
  private var hasSaidOwed = false
  private(set) lazy var dataPlane = DataPlane(
    world, ledger: .central, machine: { [unowned self] in machine }, history: { [unowned self] in shell.disk.history },
    life: { [unowned self] in isUp ? life : nil },
    post: { [unowned self] in shell.post($0) }, store: { [unowned self] in blobs.add($0, at: world.time) },
    grant: { [unowned self] run, path in Grant(secret: world.secret, task: run.id).descendant(path) })

  init(_ world: World, site: Int, broker: Broker, regions: [NodeID]) {
    self.world = world
    self.site = site
    blobs = BlobShelf(name: "central")
    desk = CentralDesk(secret: world.secret)
    var configuration = CoordinatorConfiguration(data: "http://central:7400", declared: Set(regions))
    configuration.faults = world.plan.faults
    shell = ServerDriver(world) { [configuration] in
      Coordinator(id: .central, configuration: configuration, restoring: $0, at: $1)
    }
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
    desk = CentralDesk(secret: world.secret, faults: world.plan.faults)
    connecting = 0
    work = WorkDriver(width: 2, after: shell.after) { [unowned self] piece, done in
      if piece.item.key.isWanted(by: machine) { shell.carryOut(piece, done) } else { done(.finished) }
    }
    hasSaidOwed = false
    world.auditor.restarted(self)
    world.note(.life, name, "starts")
    // Long work that is owed also starts without a broker.
    shell.post(.connected) { [unowned self] outcome in hasSaidOwed = outcome == .committed }
    shell.post(.disconnected)
    client.start(in: world)
  }

  /// - Parameter power: whether it loses its power: then no kernel closes its connections, and what was not synced may be gone.
  package func die(power: Bool = false) { shell.die(power: power) }

  func died(power: Bool) {
    world.note(.life, name, power ? "loses its power" : "dies")
    dataPlane.removeAll()
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

  var next: Instant? { desk.next }

  func perform(_ effect: Coordinator.Effect, of machine: Coordinator) {
    if case .roundChanged = effect, world.plants(.collectsYoungBlobs) {
      blobs.collect(keeping: machine.referencedBlobs.union(shell.disk.history.keptBlobs), at: world.time, eagerly: true)
    }
    if let command = desk.command(for: effect, of: machine) { carryOut(command) }
  }

  private func carryOut(_ command: CentralDesk.Command) {
    switch command {
    case .publish(let publication): world.publish(publication, by: .central, client)
    case .work(let key, let item): add(item, key)
    case .answer(let reply, let answer): dataPlane.resolve(reply, answer)
    case .collect(let referenced):
      blobs.collect(keeping: referenced.union(shell.disk.history.keptBlobs), at: world.time, eagerly: world.plants(.collectsYoungBlobs))
    case .evicted: break
    case .own: break
    }
  }

  func performed(of machine: Coordinator) {
    for command in desk.due(of: machine, at: shell.now) { carryOut(command) }
    world.auditor.examine(machine, of: self)
    guard hasSaidOwed else { return }
    for (task, run) in machine.tasks where run.isAggregating {
      let contributions = run.frozenUpdates?.contributions.count
      world.auditor.check(
        work.contains { piece in
          let key = piece.item.key
          return key.task == task && key.round == run.round && key.contributions == contributions
        },
        "task \(task): round \(run.round) waits for central's aggregation, but the work queue has no such work")
    }
  }

  func failed(_ events: [Coordinator.Event], areDropped: Bool) {
    dataPlane.failed(events)
    let readsAgain = desk.readsTopicsAgain(after: events, areDropped: areDropped)
    world.auditor.loses(areDropped ? [] : events.filter { !$0.isRepeated }, readsAgain: readsAgain, by: .central)
    if readsAgain { client.renew(after: 1000, in: world) }
  }

  // MARK: Topics

  func connected(_: Client) {
    world.auditor.losesTrack(of: .central)
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
    if let event = world.coordinatorEvent(packet, retained: retained) { shell.post(event) }
    if let (task, found) = world.descriptor(packet, retained: retained) {
      for publication in desk.repair(found, of: task, owed: shell.machine) { world.publish(publication, by: .central, client) }
    }
  }

  // MARK: Long work

  private func add(_ item: CentralWorkItem, _ key: WorkKey) {
    let (task, kind, round) = (item.key.task, item.key.kind, item.key.round)
    let fold = SimulatedWork<Coordinator.Event>(
      key: item.key, result: result(item), delayed: { .workDelayed(task, kind, round: round, reason: $0) },
      failed: { .workFailed(task, kind, round: round, reason: $0) })
    work.add(key, LongWork(fold, faults: world.plan.faults))
    world.auditor.bound(work.count, 32, "central's work queue")
  }

  /// Makes the result of the work.
  private func result(_ item: CentralWorkItem) -> () -> Coordinator.Event {
    let (task, round) = (item.key.task, item.key.round)
    switch item.key.kind {
    case .initialize:
      let model = ModelReference(digest: world.digest("\(task)/0"), bytes: 1000)
      return { [unowned self] in
        blobs.add(model.digest, at: world.time)
        return .initialized(task, model)
      }
    case .aggregate:
      let model = ModelReference(digest: world.modelDigest(task, round, item.contributions), bytes: 1000)
      let refused = item.contributions.compactMap { update in
        world.refusesUpdates(update.path).map { Waiting(node: update.path.description, reason: $0) }
      }
      // A single contribution of a region that aggregates is enough.
      let fewest = item.isRegional ? 1 : max(1, min(world.fewestUpdates, item.specification.cohort.minimum))
      if item.contributions.count - refused.count < fewest {
        return { .fellShort(task, round: round, refused: refused, reason: "the rule needs \(fewest) updates") }
      }
      return { [unowned self] in
        // Blobs that the machine no longer waits for may have been collected.
        let isWanted = self.machine.tasks[task].map { $0.isAggregating && $0.round == round } ?? false
        for update in item.contributions where isWanted && !blobs.contains(update.digest) {
          world.auditor.fails("the update \(update.path) of round \(round) of \(task) counts, but is not in central's store")
        }
        blobs.add(model.digest, at: world.time)
        return .aggregated(task, round: round, model, refused: refused)
      }
    case .evaluate:
      return { [unowned self] in
        if world.random.chance(world.plan.evaluationFails) {
          return .workFailed(task, .evaluate, round: round, reason: "the trainer ran out of memory")
        }
        return .evaluated(task, round: round, metrics: world.metrics(round))
      }
    }
  }
}

/// The blobs of a server, and which of them a collection removes.
struct BlobShelf {
  let name: String
  private var arrived: [Digest: Int64] = [:]
  private var referenced: Set<Digest> = []
  private var released: Set<Digest> = []

  init(name: String) { self.name = name }

  func contains(_ digest: Digest) -> Bool { arrived[digest] != nil }
  mutating func add(_ digest: Digest, at time: Int64) { arrived[digest] = time }

  /// Like `BlobCollector`: removes blobs that have lost their last reference, unless they arrived again a short time ago.
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

  /// Blobs are synced before the server mentions them, so none is lost. Which ones are referred to is learned again.
  mutating func losePower() {
    referenced = []
    released = []
  }
}
