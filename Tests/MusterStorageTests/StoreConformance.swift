import MusterCoordination
import MusterSchema
import MusterSimulation
import MusterStorage
import TestSupport
import Testing

/// The requirements on every database engine. A new engine is added to ``Engine``.
@Suite("A store, whatever its engine")
struct StoreConformance {
  enum Engine: String, CaseIterable {
    case sqlite

    /// - Parameter clock: the time of day in milliseconds.
    func open(_ folder: TemporaryFolder, clock: Int64 = 1000) throws -> Opened {
      switch self {
      case .sqlite:
        let state = try StateFolder(folder: folder.file("state"), wallClock: { WallTime(milliseconds: clock) })
        return Opened(store: state.store, owner: state)
      }
    }
  }

  /// A store, and the object that keeps it open.
  struct Opened {
    let store: any Store
    let owner: StateFolder

    func apply(_ changes: HistoryChange...) async throws { try await store.commit(StoreTransaction(changes: changes)) }
  }

  private let folder: TemporaryFolder
  private let task = TaskID(unchecked: "digits")

  init() throws { folder = try TemporaryFolder() }

  private func began(_ id: TaskID? = nil, isOver: Bool = false) -> HistoryChange {
    .began(id ?? task, name: "the \(id ?? task)", specification: specification, isOver: isOver)
  }

  private var specification: TaskSpecification {
    TaskSpecification(
      name: "digits", model: ModelSpecification(type: "softmax", input: [1, 8, 8], classes: 10), regions: [NodeID(unchecked: "north")],
      rounds: 3, cohort: CohortSpecification(size: 2, minimum: 1))
  }

  private func path(_ number: Int) -> NodePath { NodePath(NodeID(unchecked: "north"), NodeID(unchecked: "pi-\(number)")) }

  private func update(_ number: Int, _ bytes: String? = nil, fate: Fate = .counted, reason: String? = nil) -> ContributionRecord {
    ContributionRecord(
      path: path(number), digest: Digest(of: Array((bytes ?? "update \(number)").utf8)), weight: 10.5, bytes: 100, count: nil,
      metrics: ["loss": 0.5], fate: fate, reason: reason)
  }

  private func key(_ number: Int, round: Int = 1, _ phase: Phase = .train) -> ContributionKey {
    ContributionKey(task: task, round: round, phase: phase, path: path(number))
  }

  private func record(
    _ round: Int, _ updates: [ContributionRecord], _ evaluations: [ContributionRecord] = [], missed: [Waiting] = []
  ) -> RoundRecord {
    RoundRecord(
      round: round, attempts: 1, base: digest("model \(round - 1)"), result: digest("model \(round)"), strategy: .named("fedavg"),
      updates: updates, evaluations: evaluations, missed: missed, metrics: ["accuracy": 0.9], deviceMetrics: nil, seconds: 2.5)
  }

  private func model(_ round: Int) -> ModelCheckpoint {
    ModelCheckpoint(
      round: round, digest: digest("model \(round)"), bytes: 7, wire: ModelReference(digest: digest("wire \(round)"), bytes: 3),
      metrics: nil, kept: true, state: digest("state \(round)"))
  }

  private func digest(_ text: String) -> Digest { Digest(of: Array(text.utf8)) }

  // MARK: The history

  @Test("the history of worlds full of faults is the one of the model, for central and for regions", arguments: Engine.allCases)
  func worlds(_ engine: Engine) async throws {
    for seed in UInt64(1)...24 {
      var journals: [(name: String, changes: [HistoryChange], history: History)] = []
      _ = FaultSearch.run(seed: seed) { world in
        let central = world.central.shell.disk
        journals.append(("central", central.journal.flatMap(\.record.history), central.history))
        for region in world.regions {
          let disk = region.shell.disk
          journals.append((region.id.rawValue, disk.journal.flatMap(\.record.history), disk.history))
        }
      }
      for (name, changes, history) in journals {
        let folder = try TemporaryFolder()
        let opened = try engine.open(folder)
        try await opened.store.commit(StoreTransaction(changes: changes))
        try await same(opened.store, history, "seed \(seed), \(name)")
        withExtendedLifetime(folder) {}
      }
    }
  }

  private func same(_ store: any Store, _ history: History, _ comment: Comment) async throws {
    for (id, task) in history.tasks {
      let row = try #require(try await store.task(id), comment)
      #expect(row.rounds == task.rounds.count && row.step == task.step, comment)
      let records = try #require(try await store.records(of: id, since: 0, most: .max), comment)
      #expect(records.map(\.shown) == task.rounds.map(\.shown), comment)
      let summaries = try await store.rounds(of: id, PageRequest(limit: 1000)).rows.reversed()
      #expect(summaries.map(\.shown) == task.rounds.map { RoundSummary($0).shown }, comment)
      let models = try await store.models(of: id, PageRequest(limit: 1000)).rows.reversed()
      #expect(Array(models) == task.models, comment)
      for round in 0...(task.rounds.last?.round ?? 0) + 1 {
        for phase in Phase.allCases {
          let paths = history.paths(id, round, phase)
          #expect(try await store.paths(of: id, round: round, phase) == paths, comment)
          for path in paths {
            let key = ContributionKey(task: id, round: round, phase: phase, path: path)
            #expect(try await store.contribution(key) == history.contribution(key), comment)
          }
        }
      }
    }
    let kept = history.keptBlobs
    let all = Set(history.tasks.values.flatMap { $0.models.map(\.digest) + $0.rounds.flatMap { $0.updates.map(\.digest) } }).union(kept)
    #expect(try await store.keptBlobs(among: all) == kept, comment)
  }

  @Test("a contribution is accepted, and its round says what became of it", arguments: Engine.allCases)
  func fates(_ engine: Engine) async throws {
    let opened = try engine.open(folder, clock: 5000)
    try await opened.apply(began(), .contributed(key(1), update(1)), .contributed(key(2), update(2)), .contributed(key(3), update(3)))
    #expect(try await opened.store.contribution(key(1))?.fate == .accepted)
    #expect(try await opened.store.contribution(key(4)) == nil)
    #expect(try await opened.store.contribution(key(1, round: 2)) == nil)
    let missed = Waiting(node: "north/pi-4", reason: "no trainer", fate: .declined)
    try await opened.apply(
      .completed(task, record(1, [update(1), update(2, fate: .refused, reason: "NaN"), update(3)], missed: [missed])))
    let rows = try await opened.store.contributions(ContributionFilter(task: task), PageRequest()).rows
    #expect(rows.map(\.fate) == [.declined, .counted, .refused, .counted])
    #expect(rows.map(\.reason) == ["no trainer", nil, "NaN", nil])
    #expect(rows.allSatisfy { $0.at == WallTime(milliseconds: 5000) })
    #expect(rows[0].digest == nil && rows[0].metrics == nil && rows[1].metrics == ["loss": 0.5])
    let stored = try #require(try await opened.store.record(of: task, round: 1))
    #expect(stored.updates.map(\.fate) == [.counted, .refused, .counted] && stored.missed == [missed])
    #expect(stored.ended == WallTime(milliseconds: 5000))
    #expect(try await opened.store.record(of: task, round: 2) == nil)
  }

  @Test("lists come a page at a time, the newest first, and their cursors lead through all of them", arguments: Engine.allCases)
  func pages(_ engine: Engine) async throws {
    let opened = try engine.open(folder)
    let ids = (0..<25).map { TaskID(unchecked: "task-\($0)") }
    for id in ids { try await opened.apply(began(id)) }
    var (found, page): ([TaskID], PageRequest) = ([], PageRequest(limit: 10))
    while true {
      let part = try await opened.store.tasks(TaskFilter(), page)
      #expect(part.rows.count <= 10)
      found += part.rows.map(\.id)
      guard let next = part.next else { break }
      page.after = next
    }
    #expect(found == ids.reversed())
    let exactly = try await opened.store.tasks(TaskFilter(), PageRequest(limit: 25))
    #expect(exactly.rows.count == 25 && exactly.next == nil)
    #expect(try await opened.store.tasks(TaskFilter(), PageRequest(limit: 1, after: 0)).rows.isEmpty)
  }

  @Test("tasks are found by how they stand and by a part of their name", arguments: Engine.allCases)
  func filters(_ engine: Engine) async throws {
    let opened = try engine.open(folder)
    let (one, two, three) = (TaskID(unchecked: "alpha"), TaskID(unchecked: "beta"), TaskID(unchecked: "gamma"))
    for id in [one, two, three] { try await opened.apply(began(id)) }
    try await opened.apply(.ended(one, .failed, reason: "x"), .ended(two, .completed, reason: "y"))
    func ids(_ filter: TaskFilter) async throws -> [TaskID] { try await opened.store.tasks(filter, PageRequest()).rows.map(\.id) }
    #expect(try await ids(TaskFilter(isOpen: true)) == [three])
    #expect(try await ids(TaskFilter(isOpen: false)) == [two, one])
    #expect(try await ids(TaskFilter(step: .failed)) == [one])
    #expect(try await ids(TaskFilter(name: "THE AL")) == [one])
    #expect(try await ids(TaskFilter(name: "%")).isEmpty, "it is text, not a pattern")
    let row = try #require(try await opened.store.task(one))
    #expect(row.step == .failed && row.reason == "x" && row.specification == specification && row.ended != nil && row.began != nil)
  }

  @Test("contributions are found by node, over all tasks, and by fate", arguments: Engine.allCases)
  func contributionFilters(_ engine: Engine) async throws {
    let opened = try engine.open(folder)
    let other = TaskID(unchecked: "other")
    let elsewhere = ContributionKey(task: other, round: 4, phase: .evaluate, path: path(1))
    try await opened.apply(
      began(), began(other), .contributed(key(1), update(1)), .contributed(key(2), update(2)), .contributed(elsewhere, update(1)),
      .missed(task, round: 1, .train, [Waiting(node: "north/pi-1", reason: "was late", fate: .missed)]))
    func rows(_ filter: ContributionFilter) async throws -> [ContributionRow] {
      try await opened.store.contributions(filter, PageRequest()).rows
    }
    #expect(try await rows(ContributionFilter(node: "north/pi-1")).map(\.fate) == [.missed, .accepted, .accepted])
    #expect(try await rows(ContributionFilter(task: other)).map(\.phase) == [.evaluate])
    #expect(try await rows(ContributionFilter(task: other, round: 4)).map(\.task) == [other])
    #expect(try await rows(ContributionFilter(fate: .missed)).map(\.node) == ["north/pi-1"])
    #expect(try await rows(ContributionFilter(phase: .train, fate: .accepted)).count == 2)
    #expect(try await rows(ContributionFilter(task: TaskID(unchecked: "none"))).isEmpty)
  }

  @Test("records with too many names are not read", arguments: Engine.allCases)
  func most(_ engine: Engine) async throws {
    let opened = try engine.open(folder)
    try await opened.apply(began())
    for round in 1...3 {
      for number in 1...4 { try await opened.apply(.contributed(key(number, round: round), update(number))) }
      try await opened.apply(.completed(task, record(round, (1...4).map { update($0) })))
    }
    #expect(try await opened.store.records(of: task, since: 0, most: 11) == nil)
    #expect(try await opened.store.records(of: task, since: 2, most: 8)?.map(\.round) == [2, 3])
    #expect(try await opened.store.roundsCompleted() == 3)
  }

  // MARK: Blobs

  @Test("blobs that retention lets go wait for their removal, unless something else keeps them", arguments: Engine.allCases)
  func released(_ engine: Engine) async throws {
    let opened = try engine.open(folder)
    let store = opened.store
    try await opened.apply(began(), .published(task, model(0)))
    for round in 1...3 {
      // The second device sends the same bytes in each round.
      try await opened.apply(
        .contributed(key(1, round: round), update(1, "round \(round)")), .contributed(key(2, round: round), update(2, "same")),
        .published(task, model(round)), .completed(task, record(round, [update(1, "round \(round)"), update(2, "same")])),
        .retained(task, RetainedModels(since: round, earlier: [0]), updatesSince: round))
    }
    let gone = Set(["round 1", "round 2", "model 1", "wire 1", "state 1", "model 2", "wire 2", "state 2"].map(digest))
    let releases = try await store.releasedBlobs(after: 0, most: 100)
    #expect(Set(releases.map(\.digest)) == gone.union([digest("same")]))
    let numbers = releases.map(\.number)
    #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
    #expect(try await store.releasedBlobs(after: 0, most: 2) == Array(releases.prefix(2)))
    #expect(try await store.releasedBlobs(after: numbers[1], most: 2) == Array(releases[2..<4]))
    let kept = Set(["same", "round 3", "model 0", "wire 0", "state 0", "model 3", "wire 3", "state 3"].map(digest))
    #expect(try await store.keptBlobs(among: gone.union(kept)) == kept)
    try await store.settleReleased(releases.filter { gone.contains($0.digest) }.map(\.number))
    #expect(Set(try await store.releasedBlobs(after: 0, most: 100).map(\.digest)) == [digest("same")])
    #expect(try await store.models(of: task, PageRequest()).rows.map(\.kept) == [true, false, false, true])
  }

  // MARK: A task's life

  @Test("a forgotten task leaves nothing but the blobs to remove", arguments: Engine.allCases)
  func forgotten(_ engine: Engine) async throws {
    let opened = try engine.open(folder)
    try await opened.apply(
      began(), .published(task, model(0)), .contributed(key(1), update(1)), .completed(task, record(1, [update(1)])), .forgotten(task))
    #expect(try await opened.store.task(task) == nil)
    #expect(try await opened.store.contribution(key(1)) == nil)
    #expect(try await opened.store.contributions(ContributionFilter(), PageRequest()).rows.isEmpty)
    #expect(
      Set(try await opened.store.releasedBlobs(after: 0, most: 10).map(\.digest))
        == Set(["model 0", "wire 0", "state 0", "update 1"].map(digest)))
    #expect(try await opened.store.keptBlobs(among: [digest("model 0"), digest("update 1")]).isEmpty)
    // The same id may be used again.
    try await opened.apply(began())
    #expect(try await opened.store.task(task)?.rounds == 0)
    try await opened.apply(.contributed(key(1), update(1)))
    while try await opened.store.removeForgotten() {}
    #expect(try await opened.store.contribution(key(1)) != nil, "only the rows of the earlier one go")
    #expect(try await opened.store.tasks(TaskFilter(), PageRequest()).rows.map(\.id) == [task])
  }

  @Test("a retired task keeps its history; one that begins again under its id at a region is another task", arguments: Engine.allCases)
  func retired(_ engine: Engine) async throws {
    let opened = try engine.open(folder)
    let state = RoundState(
      task: task, step: .completed, round: 1, rounds: 1, attempt: 1, counts: [:], needed: 0, have: 0, closesInSeconds: nil, why: "done",
      waiting: [], more: 0, metrics: nil)
    let summary = TaskSummary(
      task: task, name: "digits", step: .completed, round: 1, rounds: 1, attempt: 1, regions: [], metrics: nil, why: "done")
    let last = RetiredTask(summary: summary, now: state, revision: 2)
    try await opened.apply(
      began(), .contributed(key(1), update(1)), .completed(task, record(1, [update(1)])), .ended(task, .completed, reason: "done"),
      .retired(task, last))
    #expect(try await opened.store.task(task)?.retired == last)
    #expect(try await opened.store.contribution(key(1))?.fate == .counted)
    #expect(try await opened.store.keptBlobs(among: [digest("update 1")]).isEmpty, "updates are for rounds to come")
    // The task is reported again as ended, which changes nothing.
    try await opened.apply(began(isOver: true))
    #expect(try await opened.store.contribution(key(1)) != nil)
    try await opened.apply(began())
    #expect(try await opened.store.contribution(key(1)) == nil)
    #expect(try await opened.store.task(task)?.retired == nil)
  }

  // MARK: Transactions

  @Test("a change that can never be stored names its task, and nothing of its transaction stays", arguments: Engine.allCases)
  func unstorable(_ engine: Engine) async throws {
    let opened = try engine.open(folder)
    try await opened.apply(began())
    var bad = update(1)
    bad.metrics = ["loss": .infinity]
    await #expect {
      try await opened.apply(.contributed(key(2), update(2)), .contributed(key(1), bad))
    } throws: { error in
      guard case StorageError.unstorable(let named, let why) = error else { return false }
      return named == task && why.contains("inf")
    }
    #expect(try await opened.store.contribution(key(2)) == nil)
    // The row refers to a task that the history does not know.
    await #expect {
      try await opened.apply(.published(TaskID(unchecked: "unknown"), model(0)))
    } throws: { error in
      if case StorageError.unstorable(let named, _) = error { named == TaskID(unchecked: "unknown") } else { false }
    }
  }

  @Test("the machine's time is kept without an entry, too, and changes of an earlier time keep theirs", arguments: Engine.allCases)
  func times(_ engine: Engine) async throws {
    let opened = try engine.open(folder, clock: 9000)
    try await opened.store.commit(StoreTransaction(changes: [began()], at: ("coordinator", 77)))
    #expect(try await opened.store.lastInstant(machine: "coordinator") == 77)
    var transaction = StoreTransaction()
    transaction.changes = [
      StampedChange(.contributed(key(1), update(1)), at: .earlier(WallTime(milliseconds: 4))),
      StampedChange(.contributed(key(2), update(2)), at: .earlier(nil)),
    ]
    try await opened.store.commit(transaction)
    let rows = try await opened.store.contributions(ContributionFilter(), PageRequest()).rows
    #expect(rows.map(\.at) == [nil, WallTime(milliseconds: 4)])
  }

  @Test(
    "rows of the registry are replaced and removed in the order of the transaction, and are there after a restart",
    arguments: Engine.allCases)
  func registry(_ engine: Engine) async throws {
    func row(_ kind: String, _ key: String, _ body: String?) -> RegistryRow {
      RegistryRow(kind: kind, key: key, body: body.map { Array($0.utf8) })
    }
    do {
      let opened = try engine.open(folder)
      #expect(try await opened.store.registry().isEmpty)
      try await opened.store.commit(
        StoreTransaction(registry: [
          row("member", "pi-1", "first"), row("member", "pi-1", "second"), row("member", "pi-2", "x"), row("token", "pi-1", "t"),
          row("member", "pi-2", nil), row("member", "unknown", nil),
        ]))
      // A transaction that fails changes no row: the task of this change does not exist.
      await #expect(throws: StorageError.self) {
        try await opened.store.commit(
          StoreTransaction(changes: [.contributed(key(1), update(1))], registry: [row("member", "pi-3", "y")]))
      }
    }
    let again = try engine.open(folder)
    let rows = try await again.store.registry()
    #expect(Set(rows) == [row("member", "pi-1", "second"), row("token", "pi-1", "t")])
  }
}

extension RoundRecord {
  /// The record without the time of day, which the simulation's model of the history does not have, and with the missed nodes sorted.
  fileprivate var shown: RoundRecord {
    var record = self
    record.ended = nil
    for index in record.missed.indices { record.missed[index].fate = record.missed[index].fate ?? .missed }
    record.missed.sort { ($0.node, $0.reason) < ($1.node, $1.reason) }
    return record
  }
}

extension RoundSummary {
  fileprivate var shown: RoundSummary {
    var summary = self
    summary.ended = nil
    summary.missed = []
    return summary
  }
}
