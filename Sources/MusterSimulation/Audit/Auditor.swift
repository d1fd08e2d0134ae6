internal import MusterCoordination
internal import MusterSchema

/// Keeps its own books of everything that became durable or was said, and checks at every step that they agree with the promises.
final class Auditor {
  /// What the store of central holds of a task, as the auditor saw it being written.
  struct Book {
    var revision = 1
    var lastOpened: RoundKey?
    var opened: Set<RoundKey> = []
    var rows: [PhaseKey: [NodePath: Digest]] = [:]
    var closed: Set<PhaseKey> = []
    var models: [Int: Digest] = [:]
    var completed = 0
    var isEnded = false
  }

  struct PhaseKey: Hashable {
    var round: Int
    var phase: Phase
  }

  private unowned let world: World
  private(set) var violation: Violation?
  private(set) var books: [TaskID: Book] = [:]
  /// Their tasks, in the order of acceptance.
  private(set) var tasks: [TaskID] = []
  private var lastInstants: [String: Instant] = [:]
  private var orders: [NodeID: [TaskID: RoundKey]] = [:]
  private var idleTicks = 0
  /// Rounds never go back, over restarts too.
  private var rounds: [TaskID: Int] = [:]

  init(_ world: World) { self.world = world }

  func fails(_ what: @autoclosure () -> String) {
    guard violation == nil else { return }
    let what = what()
    violation = Violation(time: world.time, what: what)
    world.trace.add("\(world.clock) VIOLATION      \(what)")
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

  // MARK: What became durable at central

  func committed(_ record: Coordinator.Record, at instant: Instant) {
    follow("central", instant)
    let id = record.task
    if case .accepted = record {
      check(books[id] == nil, "task \(id) is accepted twice")
      books[id] = Book()
      tasks.append(id)
      return
    }
    guard var book = books[id] else { return fails("a record \(record.kind) of task \(id), which was never accepted") }
    // In place.
    books[id] = nil
    check(!book.isEnded || record.kind == "evaluated", "task \(id) has ended, and \(record.kind) follows")
    enter(record, id, &book)
    books[id] = book
  }

  private func follow(_ name: String, _ instant: Instant) {
    let last = lastInstants[name] ?? .zero
    check(instant >= last, "\(name): time goes back from \(last) to \(instant)")
    lastInstants[name] = max(last, instant)
  }

  private func enter(_ record: Coordinator.Record, _ id: TaskID, _ book: inout Book) {
    switch record {
    case .forwarded: fails("central forwards task \(id)")
    case .revised(_, let revision, _):
      check(revision == book.revision + 1, "task \(id): revision \(revision) follows \(book.revision)")
      book.revision = revision
    case .published(_, let round, let model, _): published(id, round, model.digest, &book)
    case .opened(_, let opening): opened(id, opening, &book)
    case .contributed(_, let round, let phase, let contribution): contributed(id, PhaseKey(round: round, phase: phase), contribution, &book)
    case .closed(_, let round, let phase):
      check(book.closed.insert(PhaseKey(round: round, phase: phase)).inserted, "task \(id): round \(round), \(phase) closes twice")
    case .completed(_, let record): completed(id, record, &book)
    case .ended:
      for (key, rows) in book.rows where key.round > book.completed && !rows.isEmpty {
        fails("task \(id) ends, and what counts of round \(key.round) is in no record")
      }
      book.revision += 1
      book.isEnded = true
    default: break
    }
  }

  private func published(_ id: TaskID, _ round: Int, _ digest: Digest, _ book: inout Book) {
    check(book.models[round] == nil && (round == 0 || book.models[round - 1] != nil), "task \(id): model \(round) is out of turn")
    if round > 0 {
      check(book.closed.contains(PhaseKey(round: round, phase: .train)), "task \(id): round \(round) is aggregated before it was closed")
      let rows = book.rows[PhaseKey(round: round, phase: .train)] ?? [:]
      let contributions = rows.keys.sorted().compactMap { path in
        rows[path].map { ContributionRecord(path: path, digest: $0, weight: 1, bytes: 1, metrics: [:]) }
      }
      check(
        digest == world.modelDigest(id, round, contributions), "task \(id): the model of round \(round) is not the fold of what counts")
    }
    book.models[round] = digest
  }

  private func opened(_ id: TaskID, _ opening: PhaseOpening, _ book: inout Book) {
    let key = opening.key
    if let last = book.lastOpened { check(last < key, "task \(id): \(key) opens after \(last)") }
    check(key.round == book.completed + 1, "task \(id): round \(key.round) opens, and \(book.completed) are complete")
    let base = book.models[key.phase == .train ? key.round - 1 : key.round]
    check(base == opening.base.digest, "task \(id): \(key) starts from another model than the round before gave")
    check(!book.closed.contains(PhaseKey(round: key.round, phase: key.phase)), "task \(id): \(key) opens after its phase was closed")
    book.lastOpened = key
    book.opened.insert(key)
  }

  private func contributed(_ id: TaskID, _ key: PhaseKey, _ contribution: ContributionRecord, _ book: inout Book) {
    let path = contribution.path
    check(!book.closed.contains(key), "task \(id): \(path) is accepted in round \(key.round), \(key.phase), after it was closed")
    check(book.opened.contains { $0.round == key.round && $0.phase == key.phase }, "task \(id): \(path) is accepted in a round that never opened")
    let earlier = book.rows[key, default: [:]].updateValue(contribution.digest, forKey: path)
    check(earlier == nil, "task \(id), round \(key.round), \(key.phase): \(path) counts twice")
  }

  private func completed(_ id: TaskID, _ record: RoundRecord, _ book: inout Book) {
    check(record.round == book.completed + 1, "task \(id): round \(record.round) is complete after \(book.completed)")
    book.completed = record.round
    for (phase, list) in [(Phase.train, record.updates), (.evaluate, record.evaluations)] {
      let rows = book.rows[PhaseKey(round: record.round, phase: phase)] ?? [:]
      check(Set(list.map(\.path)).count == list.count, "task \(id), round \(record.round): the record names a path twice")
      for contribution in list {
        check(
          rows[contribution.path] == contribution.digest,
          "task \(id), round \(record.round), \(phase): the record names \(contribution.path), which never counted so")
      }
      if list.count < rows.count, let gone = rows.keys.sorted().first(where: { path in !list.contains { $0.path == path } }) {
        fails("task \(id), round \(record.round), \(phase): \(gone) was accepted and is gone from the record")
      }
    }
  }

  // MARK: What became durable at a region

  func committed(_ record: RegionMachine.Record, at instant: Instant, by region: RegionProcess) {
    follow(region.name, instant)
    guard case .below(let record) = record else { return }
    switch record {
    case .opened(let task, let opening): orders[region.id, default: [:]][task] = opening.key
    case .contributed, .completed, .published, .accepted: fails("\(region.id) keeps a ledger: \(record.kind)")
    default: break
    }
  }

  /// A region's disk is lost: its time starts anew.
  func forgets(_ region: RegionProcess) {
    lastInstants[region.name] = nil
    orders[region.id] = nil
  }

  // MARK: What is said

  /// An upload's answer leaves central.
  func answered(_ upload: CentralProcess.Upload, _ answer: Coordinator.Answer) {
    let row = books[upload.task]?.rows[PhaseKey(round: upload.round, phase: upload.phase)]?[upload.contribution.path]
    let who = "\(upload.contribution.path), round \(upload.round) of \(upload.task), \(upload.phase)"
    let digest = upload.contribution.digest
    switch answer {
    case .stored: check(row == digest, "\(who): answered with 201, and the store does not hold it")
    case .same: check(row == digest, "\(who): answered with 200, and what counts is something else")
    case .conflict: check(row != nil && row != digest, "\(who): answered with 409, and nothing else of it counts")
    case .closed(let why): check(row == nil, "\(who): answered with 410 (\(why)), and it counts")
    case .unknown: check(books[upload.task] == nil, "\(who): answered with 404, and the task is there")
    }
  }

  func says(_ ledger: PhaseLedger) {
    let rows = books[ledger.task]?.rows[PhaseKey(round: ledger.round, phase: ledger.phase)] ?? [:]
    check(
      rows.count == ledger.accepted.count && ledger.accepted.allSatisfy { rows[$0] != nil },
      "task \(ledger.task), round \(ledger.round), \(ledger.phase): the ledger says \(ledger.accepted.count), its rows are \(rows.count)")
  }

  func says(_ descriptor: TaskDescriptor) {
    check(
      descriptor.revision <= books[descriptor.task]?.revision ?? 0,
      "task \(descriptor.task): revision \(descriptor.revision) is published and not stored")
  }

  func invites(_ invitation: Invitation) {
    check(
      books[invitation.task]?.opened.contains(invitation.key) == true, "task \(invitation.task): central invites to \(invitation.key), which is not stored")
  }

  func invites(_ invitation: Invitation, by region: RegionProcess) {
    let stored = orders[region.id]?[invitation.task]
    check(
      stored.map { $0 >= invitation.key } ?? false, "task \(invitation.task): \(region.id) invites to \(invitation.key), its order is not stored")
  }

  func published(_: Packet, at broker: Broker) {
    guard broker.published % 64 == 0 else { return }
    let tasks = max(1, world.directory.tasks.count)
    let nodes = world.directory.nodes.count
    bound(broker.retained.count, 2 * nodes + tasks * (2 * nodes + 4) + 8, "\(broker.name)'s retained messages")
  }

  /// A device asked for the base of its job, and central's store does not have it.
  func misses(_ digest: Digest, _ job: Job) {
    guard let run = world.central.machine.tasks[job.task], world.central.machine.refusal(run, round: job.key.round, phase: job.key.phase) == nil
    else { return }
    fails("task \(job.task): \(job.key) is open, and central's store does not have its base")
  }

  // MARK: The machines

  /// Ledger counts, rounds and bounds, after every batch.
  func examine(_ machine: Coordinator, of central: CentralProcess) {
    for id in tasks {
      guard let book = books[id] else { continue }
      guard let run = machine.tasks[id] else {
        fails("central has lost task \(id)")
        continue
      }
      let round = run.round
      check(round >= rounds[id] ?? 0, "task \(id): round \(round) after \(rounds[id] ?? 0)")
      rounds[id] = round
      check(run.records.count == book.completed, "task \(id): \(run.records.count) rounds are recorded, \(book.completed) stored")
      guard book.completed < round, !run.isEnded else { continue }
      for phase in Phase.allCases {
        let rows = book.rows[PhaseKey(round: round, phase: phase)]?.count ?? 0
        let counted = run.ledger(round: round, phase: phase)?.accepted.count ?? 0
        check(counted == rows, "task \(id), round \(round), \(phase): the ledger counts \(counted), its rows are \(rows)")
      }
    }
    bound(central.shell.disk.kept.count, 400 * max(1, books.count), "central's journal")
  }

  func restarted(_ central: CentralProcess) { examine(central.machine, of: central) }

  func examine(_ machine: RegionMachine, of region: RegionProcess) {
    bound(machine.participant.jobs.count, max(1, world.directory.tasks.count), "the jobs of \(region.id)")
    bound(region.shell.disk.kept.count, 60 * max(1, world.directory.tasks.count), "the journal of \(region.id)")
  }
}
