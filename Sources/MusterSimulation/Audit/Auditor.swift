internal import MusterCoordination
internal import MusterParticipation
internal import MusterSchema

/// Keeps its own books of everything that became durable or was said, and checks at every step that they agree with the promises.
final class Auditor {
  /// A ledger's books of a task: central's, or those of a region that aggregates.
  struct BookKey: Hashable {
    var ledger: NodeID
    var task: TaskID
  }

  struct PhaseKey: Hashable {
    var round: Int
    var phase: Phase
  }

  /// What the store of a ledger holds of a task, as the auditor saw it being written.
  struct Book {
    var revision = 1
    var lastOpened: RoundKey?
    var opened: Set<RoundKey> = []
    var rows: [PhaseKey: [NodePath: Digest]] = [:]
    /// At a region: phases whose rows are in a record already.
    var settled: [PhaseKey: [NodePath: Digest]] = [:]
    var closed: Set<PhaseKey> = []
    var models: [Int: Digest] = [:]
    var completed = 0
    var isEnded = false
    var isRetired = false
    /// At a region: the first that it heard of the task was its end.
    var beganWithTheEnd = false
  }

  unowned let world: World
  private(set) var violation: Violation?
  var books: [BookKey: Book] = [:]
  /// Central's tasks, in the order of acceptance.
  var tasks: [TaskID] = []
  private var lastInstants: [String: Instant] = [:]
  var orders: [NodeID: [TaskID: RoundKey]] = [:]
  /// By coordinator: whom it invited first to what, and heard nothing of since.
  var unanswered: [NodeID: [NodeID: Unanswered]] = [:]
  /// When a window for people was published last.
  var windows: [Topic: Int64] = [:]
  private var idleTicks = 0
  /// Sessions whose end was published.
  private var endedSessions: Set<String> = []
  /// Whom each coordinator held for present, and under which session.
  /// Batches of machines that were looked at.
  private var examined = 0
  private var present: [NodeID: [NodeID: String]] = [:]
  /// Rounds never go back, over restarts too.
  private var rounds: [TaskID: Int] = [:]

  init(_ world: World) { self.world = world }

  func fails(_ what: @autoclosure () -> String) {
    guard violation == nil else { return }
    let what = what()
    violation = Violation(time: world.time, what: what)
    world.trace.add("\(world.clock) VIOLATION      \(what)")
    if let violation { world.whenViolated?(violation) }
  }

  func check(_ holds: Bool, _ what: @autoclosure () -> String) { if !holds { fails(what()) } }

  // MARK: Bounds

  func bound(_ count: Int, _ limit: Int, _ what: @autoclosure () -> String) {
    check(count <= limit, "\(what()) holds \(count) entries, more than \(limit)")
  }

  func timePassed() { idleTicks = 0 }

  /// Waking a machine at its deadline leads somewhere.
  func ticked(_ name: String, wasUseful: Bool) {
    if !wasUseful { idleTicks += 1 }
    check(idleTicks < 50, "\(name): a busy loop, waking the machine at its deadline changes nothing")
  }

  func follow(_ name: String, _ instant: Instant) {
    let last = lastInstants[name] ?? .zero
    check(instant >= last, "\(name): time goes back from \(last) to \(instant)")
    lastInstants[name] = max(last, instant)
  }

  /// A region's disk is lost, and with it what it promised: its time starts anew.
  func forgets(_ region: RegionProcess) {
    lastInstants[region.name] = nil
    orders[region.id] = nil
    books = books.filter { $0.key.ledger != region.id }
    world.promised.removeAll { $0.ledger == region.id }
    world.lostDisks.insert(region.id)
  }

  // MARK: The machines

  /// Ledger counts, rounds and bounds, after every batch.
  func examine(_ machine: Coordinator, of central: CentralProcess) {
    for id in tasks {
      guard let book = books[BookKey(ledger: .central, task: id)] else { continue }
      guard let run = machine.tasks[id] else {
        check(book.isRetired, "central has lost task \(id)")
        continue
      }
      let round = run.round
      check(round >= rounds[id] ?? 0, "task \(id): round \(round) after \(rounds[id] ?? 0)")
      rounds[id] = round
      check(run.progress.rounds == book.completed, "task \(id): \(run.progress.rounds) rounds are recorded, \(book.completed) stored")
      if book.completed < round, !run.isEnded { count(run, book, "central") }
    }
    recount(machine)
    presence(machine, isCertain: central.connecting == 0)
    bound(central.shell.disk.kept.count, 400 * max(1, tasks.count), "central's journal")
  }

  func examine(_ machine: RegionMachine, of region: RegionProcess) {
    for id in tasks {
      guard let book = books[BookKey(ledger: region.id, task: id)], let run = machine.coordinator.tasks[id], run.isLedger, !run.isEnded
      else { continue }
      count(run, book, region.name)
    }
    recount(machine.coordinator)
    presence(machine.coordinator, isCertain: region.connecting == 0)
    bound(machine.participant.jobs.count, max(1, world.directory.tasks.count), "the jobs of \(region.id)")
    bound(region.shell.disk.kept.count, 100 * max(1, world.directory.tasks.count), "the journal of \(region.id)")
  }

  /// What the machine keeps as it changes is what counting gives. Now and then, for it looks at everything.
  private func recount(_ machine: Coordinator) {
    examined += 1
    guard examined % 8 == 0, let what = machine.miscount else { return }
    fails("\(machine.id) has miscounted: \(what)")
  }

  private func count(_ run: TaskRun, _ book: Book, _ name: String) {
    for phase in Phase.allCases {
      let rows = book.rows[PhaseKey(round: run.round, phase: phase)]?.count ?? 0
      let counted = run.ledger(round: run.round, phase: phase)?.accepted.count ?? 0
      check(counted == rows, "task \(run.id), round \(run.round), \(phase): the ledger of \(name) counts \(counted), its rows are \(rows)")
    }
  }

  /// A server's batch is lost, because its commit failed.
  ///
  /// - Parameter events: those that their senders do not repeat. They come again only when the server reads its topics again.
  func loses<Event>(_ events: [Event], readsAgain: Bool, by server: NodeID) {
    check(
      events.isEmpty || readsAgain,
      "\(server) has lost \(events.count) events that their senders do not repeat, and does not read its topics again")
  }

  func ended(_ session: String) { endedSessions.insert(session) }

  /// Nobody goes offline while his session lasts: an old connection's Will says nothing about the new one.
  ///
  /// - Parameter isCertain: false while the coordinator learns anew who is there.
  private func presence(_ machine: Coordinator, isCertain: Bool) {
    let before = present[machine.id] ?? [:]
    var now: [NodeID: String] = [:]
    for (node, state) in machine.nodes {
      if state.online {
        now[node] = state.session
      } else if isCertain, before[node] == state.session {
        check(endedSessions.contains(state.session), "\(machine.id) holds \(node) for offline, and its session \(state.session) lasts")
      }
    }
    present[machine.id] = now
  }

  func restarted(_ central: CentralProcess) {
    windows = windows.filter { $0.key.coordinator != .central }
    losesTrack(of: .central)
    examine(central.machine, of: central)
  }

  func restarted(_ region: RegionProcess) {
    windows = windows.filter { $0.key.coordinator != region.id }
    losesTrack(of: region.id)
    examine(region.machine, of: region)
  }
}
