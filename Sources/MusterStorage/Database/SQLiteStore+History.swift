import FoundationEssentials
import GRDB
package import MusterSchema
import Synchronization

extension SQLiteStore {
  package func task(_ id: TaskID) async throws(StorageError) -> TaskRow? {
    try await read("the history") {
      try Row.fetchOne($0, sql: "SELECT * FROM task WHERE id = ?", arguments: [id.rawValue]).map(TaskRow.init)
    }
  }

  package func tasks(_ filter: TaskFilter, _ page: PageRequest) async throws(StorageError) -> Page<TaskRow> {
    var conditions = Conditions()
    conditions.add("NOT gone")
    if let isOpen = filter.isOpen { conditions.add(isOpen ? "step IS NULL" : "step IS NOT NULL") }
    if let step = filter.step { conditions.add("step = ?", step.rawValue) }
    if let name = filter.name {
      conditions.add("(instr(lower(name), lower(?)) OR instr(lower(id), lower(?)))", name, name)
    }
    return try await list("SELECT * FROM task", conditions, by: "number", page, TaskRow.init)
  }

  package func roundsCompleted() async throws(StorageError) -> Int {
    try await read("the history") { try Int.fetchOne($0, sql: "SELECT total(rounds) FROM task") ?? 0 }
  }

  package func rounds(of task: TaskID, _ page: PageRequest) async throws(StorageError) -> Page<RoundSummary> {
    try await list("SELECT * FROM round", Conditions(of: task), by: "round", page, RoundSummary.init)
  }

  package func models(of task: TaskID, _ page: PageRequest) async throws(StorageError) -> Page<ModelCheckpoint> {
    try await list("SELECT * FROM model", Conditions(of: task), by: "round", page, ModelCheckpoint.init)
  }

  package func record(of task: TaskID, round: Int) async throws(StorageError) -> RoundRecord? {
    try await read("the history") { try $0.records(of: task, round...round).first }
  }

  package func records(of task: TaskID, since first: Int, most: Int) async throws(StorageError) -> [RoundRecord]? {
    try await read("the history") { database in
      let rows = try Int.fetchOne(
        database, sql: "SELECT total(updates + evaluations + missing) FROM round WHERE task = \(Database.number) AND round >= ?",
        arguments: [task.rawValue, first])
      return (rows ?? 0) > most ? nil : try database.records(of: task, first...Int.max)
    }
  }

  package func contribution(_ key: ContributionKey) async throws(StorageError) -> ContributionRecord? {
    try await read("the history") { database in
      let sql = """
        SELECT * FROM contribution
        WHERE task = \(Database.number) AND round = ? AND phase = ? AND node = ? AND digest IS NOT NULL
        """
      let arguments: StatementArguments = [key.task.rawValue, key.round, key.phase.rawValue, key.path.description]
      return try Row.fetchOne(try database.cachedStatement(sql: sql), arguments: arguments).map(ContributionRecord.init)
    }
  }

  package func paths(of task: TaskID, round: Int, _ phase: Phase) async throws(StorageError) -> [NodePath] {
    try await read("the history") { database in
      let sql = """
        SELECT node FROM contribution WHERE task = \(Database.number) AND round = ? AND phase = ? AND digest IS NOT NULL ORDER BY node
        """
      return try String.fetchAll(database, sql: sql, arguments: [task.rawValue, round, phase.rawValue]).map { try NodePath(validating: $0) }
    }
  }

  package func contributions(_ filter: ContributionFilter, _ page: PageRequest) async throws(StorageError) -> Page<ContributionRow> {
    var conditions = Conditions()
    if let task = filter.task { conditions.add("task = \(Database.number)", task.rawValue) }
    if let round = filter.round { conditions.add("round = ?", round) }
    if let phase = filter.phase { conditions.add("phase = ?", phase.rawValue) }
    if let node = filter.node { conditions.add("node = ?", node) }
    if let fate = filter.fate { conditions.add("fate = ?", fate.rawValue) }
    if filter.task == nil { conditions.add("task NOT IN (SELECT number FROM task WHERE gone)") }
    let isAmiss = filter.fate.map { $0 != .accepted && $0 != .counted } ?? false
    var index = ""
    if filter.task != nil, filter.round != nil {
      index = " INDEXED BY contribution_of_round"
    } else if filter.node != nil {
      index = " INDEXED BY contribution_of_node"
    } else if filter.task != nil {
      index = " INDEXED BY contribution_of_task"
    } else if isAmiss {
      // The condition must be spelled as in the index, or SQLite cannot use the index.
      conditions.add("fate NOT IN ('accepted', 'counted')")
      index = " INDEXED BY contribution_amiss"
    }
    let sql = "SELECT contribution.*, (SELECT id FROM task WHERE task.number = contribution.task) AS id FROM contribution\(index)"
    return try await list(sql, conditions, by: "number", page, ContributionRow.init)
  }

  package func events(_ filter: EventFilter, _ page: PageRequest) async throws(StorageError) -> Page<TaskEvent> {
    try await list(Self.event, Conditions(filter), by: "number", page, TaskEvent.init)
  }

  package func events(_ filter: EventFilter, since number: Int, most: Int) async throws(StorageError) -> [TaskEvent] {
    var conditions = Conditions(filter)
    conditions.add("number > ?", number)
    let (sql, arguments) = ("\(Self.event)\(conditions.sql) ORDER BY number LIMIT \(most)", conditions.arguments)
    return try await read("the history") { try Row.fetchAll($0, sql: sql, arguments: arguments).map(TaskEvent.init) }
  }

  private static let event = "SELECT event.*, (SELECT id FROM task WHERE task.number = event.task) AS id FROM event"

  // MARK: Blobs

  package func releasedBlobs(after number: Int, most: Int) async throws(StorageError) -> [BlobRelease] {
    let sql = "SELECT number, digest FROM released WHERE number > ? ORDER BY number LIMIT ?"
    return try await read("the history") { database in
      try Row.fetchAll(database, sql: sql, arguments: [number, most]).map {
        BlobRelease(number: $0["number"], digest: try $0.digest("digest"))
      }
    }
  }

  package func keptBlobs(among digests: Set<Digest>) async throws(StorageError) -> Set<Digest> {
    try await read("the history") { database in
      let sql = """
        SELECT EXISTS (SELECT 1 FROM contribution WHERE digest = :digest AND kept)
          OR EXISTS (SELECT 1 FROM model WHERE digest = :digest AND kept)
          OR EXISTS (SELECT 1 FROM model WHERE wire = :digest AND kept AND wire IS NOT NULL)
          OR EXISTS (SELECT 1 FROM model WHERE state = :digest AND kept AND state IS NOT NULL)
        """
      let statement = try database.cachedStatement(sql: sql)
      return try digests.filter { try Bool.fetchOne(statement, arguments: ["digest": $0.column]) ?? false }
    }
  }

  package func settleReleased(_ numbers: [Int]) async throws(StorageError) {
    guard !numbers.isEmpty else { return }
    try await write { database in
      let statement = try database.cachedStatement(sql: "DELETE FROM released WHERE number = ?")
      for number in numbers { try statement.execute(arguments: [number]) }
    }
  }

  package func removeForgotten() async throws(StorageError) -> Bool {
    guard try await read("the history", { try Bool.fetchOne($0, sql: "SELECT EXISTS (SELECT 1 FROM task WHERE gone)") ?? false }) else {
      return false
    }
    let more = Mutex(false)
    try await write { database in
      let isMore = try database.removeForgotten(most: Self.removedAtOnce)
      more.withLock { $0 = isMore }
    }
    return more.withLock { $0 }
  }

  /// The number of rows to remove in one transaction. It takes some milliseconds, during which the machine's commits wait.
  private static let removedAtOnce = 2000

  // MARK: Lists

  /// A page of a list, newest rows first.
  ///
  /// - Parameter cursor: a column whose value grows with each new row.
  private func list<T: Sendable>(
    _ select: String, _ conditions: Conditions, by cursor: String, _ page: PageRequest, _ row: @escaping @Sendable (Row) throws -> T
  ) async throws(StorageError) -> Page<T> {
    var conditions = conditions
    if let after = page.after { conditions.add("\(cursor) < ?", after) }
    // One row more than the limit shows whether there is a next page.
    let sql = "\(select)\(conditions.sql) ORDER BY \(cursor) DESC LIMIT \(page.limit + 1)"
    let arguments = conditions.arguments
    return try await read("the history") { database in
      let rows = try Row.fetchAll(database, sql: sql, arguments: arguments)
      let shown = rows.prefix(page.limit)
      let next: Int? = rows.count > page.limit ? shown.last.map { $0[cursor] } : nil
      return Page(try shown.map(row), next: next)
    }
  }
}

/// Conditions of a `WHERE` clause, all of which a row must meet, with their arguments.
private struct Conditions: Sendable {
  private var texts: [String] = []
  private(set) var arguments = StatementArguments()

  init() {}
  init(_ filter: EventFilter) {
    if filter.task == nil { add("task NOT IN (SELECT number FROM task WHERE gone)") }
    if let task = filter.task { add("task = \(Database.number)", task.rawValue) }
    if let kind = filter.kind { add("kind = ?", kind.rawValue) }
  }
  init(of task: TaskID) { add("task = \(Database.number)", task.rawValue) }

  mutating func add(_ text: String, _ values: (any DatabaseValueConvertible)...) {
    texts.append(text)
    arguments += StatementArguments(values)
  }

  var sql: String { texts.isEmpty ? "" : " WHERE \(texts.joined(separator: " AND "))" }
}

extension Database {
  /// Rounds with the names of their nodes, in ascending order.
  fileprivate func records(of task: TaskID, _ rounds: ClosedRange<Int>) throws -> [RoundRecord] {
    let arguments: StatementArguments = [task.rawValue, rounds.lowerBound, rounds.upperBound]
    let range = "task = \(Database.number) AND round BETWEEN ? AND ?"
    var records = try Row.fetchAll(self, sql: "SELECT * FROM round WHERE \(range) ORDER BY round", arguments: arguments).map(
      RoundRecord.init)
    guard !records.isEmpty else { return [] }
    // A contribution that is accepted and not yet decided belongs to a phase in progress.
    let rows = try Row.fetchCursor(
      self, sql: "SELECT * FROM contribution WHERE \(range) AND fate <> 'accepted' ORDER BY round, phase, node, number",
      arguments: arguments)
    var index = 0
    while let row = try rows.next() {
      let round: Int = row["round"]
      while index < records.count, records[index].round < round { index += 1 }
      guard index < records.count, records[index].round == round else { continue }
      if row["digest"] as Data? == nil {
        records[index].missed.append(Waiting(node: row["node"], reason: row["reason"] ?? "", fate: try row.named(Fate.self, "fate")))
      } else if row["phase"] == Phase.train.rawValue {
        records[index].updates.append(try ContributionRecord(row))
      } else {
        records[index].evaluations.append(try ContributionRecord(row))
      }
    }
    return records
  }
}

extension TaskRow {
  fileprivate init(_ row: Row) throws {
    let retired: String? = row["retired"]
    self.init(
      number: row["number"], id: TaskID(unchecked: row["id"]), name: row["name"],
      specification: try row.decoded(TaskSpecification.self, "specification"), began: row.time("began"),
      step: try row.named(RoundState.Step.self, "step"), reason: row["reason"], ended: row.time("ended"), rounds: row["rounds"],
      retired: retired?.isEmpty == false ? try row.decoded(RetiredTask.self, "retired") : nil)
  }
}

extension RoundSummary {
  fileprivate init(_ row: Row) throws {
    self.init(
      round: row["round"], attempts: row["attempts"], base: try row.digest("base"), result: try row.optionalDigest("result"),
      updates: Updates(
        accepted: row["updates"], counted: row["counted"], devices: row["devices"], countedDevices: row["counted_devices"],
        samples: row["samples"], bytes: row["bytes"]), evaluations: row["evaluations"], missing: row["missing"],
      missed: try row.decoded([Waiting].self, "missed") ?? [], metrics: try row.decoded([String: Double].self, "metrics"),
      deviceMetrics: try row.decoded([String: Double].self, "device_metrics"), seconds: row["seconds"], ended: row.time("ended"))
  }
}

extension RoundRecord {
  fileprivate init(_ row: Row) throws {
    self.init(
      round: row["round"], attempts: row["attempts"], base: try row.digest("base"), result: try row.optionalDigest("result"),
      strategy: try row.required(try row.decoded(StrategySpecification.self, "strategy"), "strategy"), updates: [], evaluations: [],
      missed: [], metrics: try row.decoded([String: Double].self, "metrics"),
      deviceMetrics: try row.decoded([String: Double].self, "device_metrics"), seconds: row["seconds"])
    ended = row.time("ended")
  }
}

extension ModelCheckpoint {
  fileprivate init(_ row: Row) throws {
    let wire = try row.optionalDigest("wire").map { ModelReference(digest: $0, bytes: row["wire_bytes"] ?? 0) }
    self.init(
      round: row["round"], digest: try row.digest("digest"), bytes: row["bytes"], wire: wire,
      metrics: try row.decoded([String: Double].self, "metrics"), deviceMetrics: try row.decoded([String: Double].self, "device_metrics"),
      kept: row["kept"], state: try row.optionalDigest("state"))
  }
}

extension ContributionRecord {
  fileprivate init(_ row: Row) throws {
    self.init(
      path: try NodePath(validating: row["node"] as String), digest: try row.digest("digest"), weight: row["weight"] ?? 0,
      bytes: row["bytes"] ?? 0, count: row["count"], metrics: try row.decoded([String: Double].self, "metrics") ?? [:],
      fate: try row.required(try row.named(Fate.self, "fate"), "fate"), reason: row["reason"])
  }
}

extension ContributionRow {
  fileprivate init(_ row: Row) throws {
    self.init(
      task: TaskID(unchecked: row["id"]), round: row["round"], phase: try row.required(try row.named(Phase.self, "phase"), "phase"),
      node: row["node"], fate: try row.required(try row.named(Fate.self, "fate"), "fate"), reason: row["reason"],
      digest: try row.optionalDigest("digest"), weight: row["weight"], bytes: row["bytes"], count: row["count"],
      metrics: try row.decoded([String: Double].self, "metrics"), at: row.time("at"))
  }
}

extension TaskEvent {
  fileprivate init(_ row: Row) throws {
    self.init(
      number: row["number"], task: TaskID(unchecked: row["id"]), kind: try row.required(try row.named(Kind.self, "kind"), "kind"),
      at: row.time("at"), details: try row.required(try row.decoded(Details.self, "details"), "details"))
  }
}
