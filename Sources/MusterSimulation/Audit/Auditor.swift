internal import MusterCoordination
internal import MusterParticipation
internal import MusterSchema

/// Keeps its own books of all that became durable or was published, and checks them against the protocol's promises at every step.
final class Auditor {
  /// The ledger and task of a book. The ledger is central, or a region that aggregates.
  struct BookKey: Hashable {
    var ledger: NodeID
    var task: TaskID
  }

  struct PhaseKey: Hashable {
    var round: Int
    var phase: Phase
  }

  /// What a ledger's store holds of a task, as the auditor saw it being written.
  struct Book {
    var revision = 1
    var lastOpened: RoundKey?
    var opened: Set<RoundKey> = []
    var rows: [PhaseKey: [NodePath: Digest]] = [:]
    /// At a region: rows of phases that are in a round's record already.
    var settled: [PhaseKey: [NodePath: Digest]] = [:]
    var closed: Set<PhaseKey> = []
    var models: [Int: Digest] = [:]
    var completed = 0
    var isEnded = false
    var isRetired = false
    /// At a region: whether the first thing that it heard of the task was its end.
    var beganWithTheEnd = false
  }

  unowned let world: World
  private(set) var violation: Violation?
  var books: [BookKey: Book] = [:]
  /// Central's tasks, in the order of acceptance.
  var tasks: [TaskID] = []
  private var lastInstants: [String: Instant] = [:]
  var orders: [NodeID: [TaskID: RoundKey]] = [:]
  /// By coordinator: the first invitation of each node that has not been heard of since.
  var unanswered: [NodeID: [NodeID: Unanswered]] = [:]
  /// When each `round-state` message was last published.
  var windows: [Topic: Int64] = [:]
  private var idleTicks = 0
  /// Sessions whose end was published.
  private var endedSessions: Set<String> = []
  /// Batches that were examined.
  private var examined = 0
  /// By coordinator: the nodes that it considered online, with their sessions.
  private var present: [NodeID: [NodeID: String]] = [:]
  /// Each task's round, which must never go back, not even over a restart.
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
    check(count <= limit, "\(what()): \(count) entries, more than the limit of \(limit)")
  }

  func timePassed() { idleTicks = 0 }

  /// Checks that the ticks at a machine's deadlines change something: 50 useless ones in a row are a busy loop.
  func ticked(_ name: String, wasUseful: Bool) {
    if !wasUseful { idleTicks += 1 }
    check(idleTicks < 50, "\(name): busy loop: ticks at the machine's deadline change nothing")
  }

  func follow(_ name: String, _ instant: Instant) {
    let last = lastInstants[name] ?? .zero
    check(instant >= last, "\(name): time goes back from \(last) to \(instant)")
    lastInstants[name] = max(last, instant)
  }

  /// A region's disk is lost, with everything that it promised. Its time begins again.
  func forgets(_ region: RegionProcess) {
    lastInstants[region.name] = nil
    orders[region.id] = nil
    books = books.filter { $0.key.ledger != region.id }
    world.promised.removeAll { $0.ledger == region.id }
    world.lostDisks.insert(region.id)
  }

  // MARK: The machines

  /// Checks counts, rounds and bounds after every batch.
  func examine(_ machine: Coordinator, of central: CentralProcess) {
    for id in tasks {
      guard let book = books[BookKey(ledger: .central, task: id)] else { continue }
      guard let run = machine.tasks[id] else {
        check(book.isRetired, "central has lost task \(id)")
        continue
      }
      let round = run.round
      check(round >= rounds[id] ?? 0, "task \(id) went back from round \(rounds[id] ?? 0) to round \(round)")
      rounds[id] = round
      check(
        run.progress.rounds == book.completed,
        "task \(id): the machine has \(run.progress.rounds) finished rounds, the store \(book.completed)")
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

  /// Compares the machine's counters with a full recount, at every eighth batch because that looks at everything.
  private func recount(_ machine: Coordinator) {
    examined += 1
    guard examined % 8 == 0, let what = machine.miscount else { return }
    fails("\(machine.id) has miscounted: \(what)")
  }

  private func count(_ run: TaskRun, _ book: Book, _ name: String) {
    for phase in Phase.allCases {
      let rows = book.rows[PhaseKey(round: run.round, phase: phase)]?.count ?? 0
      let counted = run.ledger(round: run.round, phase: phase)?.accepted.count ?? 0
      check(
        counted == rows,
        "task \(run.id), round \(run.round), \(phase): the ledger of \(name) counts \(counted) contributions, its store has \(rows)")
    }
  }

  /// Checks that events of a batch whose commit failed come again.
  ///
  /// - Parameter events: those that their senders do not repeat. They come again only if the server reads its topics again.
  func loses<Event>(_ events: [Event], readsAgain: Bool, by server: NodeID) {
    check(
      events.isEmpty || readsAgain,
      "\(server) has lost \(events.count) events that their senders do not repeat, but does not read its topics again")
  }

  func ended(_ session: String) { endedSessions.insert(session) }

  /// Checks that no node goes offline while its session lasts: the Will of an older connection says nothing about the new one.
  ///
  /// - Parameter isCertain: false while the coordinator is still learning which nodes are online.
  private func presence(_ machine: Coordinator, isCertain: Bool) {
    let before = present[machine.id] ?? [:]
    var now: [NodeID: String] = [:]
    for (node, state) in machine.nodes {
      if state.online {
        now[node] = state.session
      } else if isCertain, before[node] == state.session {
        check(
          endedSessions.contains(state.session),
          "\(machine.id) considers \(node) offline, but its session \(state.session) has not ended")
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
