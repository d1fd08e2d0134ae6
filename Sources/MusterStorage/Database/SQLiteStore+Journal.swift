import FoundationEssentials
import GRDB
package import MusterSchema

extension SQLiteStore {
  @discardableResult
  package func commit(_ transaction: StoreTransaction) async throws(StorageError) -> WallTime {
    let committed = wallClock()
    guard !transaction.isEmpty else { return committed }
    try await write { database in
      for range in transaction.replacing { try database.remove(range) }
      for (machine, at) in transaction.instants { try database.note(at, of: machine) }
      for entry in transaction.entries {
        try aboutTheRow(of: entry.task, "a record \"\(entry.kind)\" of \(entry.body.count) bytes") {
          try database.append(entry, committed)
        }
      }
      for change in transaction.changes {
        let time = if case .earlier(let time) = change.time { time } else { WallTime?.some(committed) }
        try aboutTheRow(of: change.change.task, "a row of the history") { try database.apply(change.change, at: time) }
      }
      for row in transaction.registry {
        try aboutTheRow(of: nil, "the row \(row.kind) \(row.key) of the registry") { try database.apply(row) }
      }
    }
    return committed
  }

  package func entries(machine: String) async throws(StorageError) -> [JournalEntry] {
    try await read("the journal") { database in
      let rows = try Row.fetchCursor(
        database, sql: "SELECT task, kind, instant, body, committed FROM journal WHERE machine = ? ORDER BY position",
        arguments: [machine])
      var entries: [JournalEntry] = []
      while let row = try rows.next() { entries.append(try JournalEntry(machine, row)) }
      return entries
    }
  }

  package func lastInstant(machine: String) async throws(StorageError) -> Int64 {
    try await read("the journal") {
      try Int64.fetchOne($0, sql: "SELECT instant FROM machine WHERE name = ?", arguments: [machine]) ?? 0
    }
  }
}

/// Turns a refusal of this row into ``StorageError/unstorable(_:_:)``: a retry would fail, too, whatever is done about the disk.
private func aboutTheRow(of task: TaskID?, _ what: @autoclosure () -> String, _ body: () throws -> Void) throws {
  do {
    try body()
  } catch let error as DatabaseError where error.isAboutTheRow {
    throw StorageError.unstorable(task, "\(what()): \(error.message ?? "refused")")
  } catch EncodingError.invalidValue(let value, _) {
    throw StorageError.unstorable(task, "\(what()): \(value) is not a number")
  }
}

extension Database {
  /// Stores a machine's time. It never goes backwards.
  fileprivate func note(_ at: Int64, of machine: String) throws {
    try cachedStatement(
      sql: """
        INSERT INTO machine (name, instant) VALUES (?, ?)
        ON CONFLICT (name) DO UPDATE SET instant = max(instant, excluded.instant)
        """
    ).execute(arguments: [machine, at])
  }

  fileprivate func append(_ entry: JournalEntry, _ committed: WallTime) throws {
    try cachedStatement(sql: "INSERT INTO journal (machine, task, kind, instant, body, committed) VALUES (?, ?, ?, ?, ?, ?)").execute(
      arguments: [entry.machine, entry.task?.rawValue, entry.kind, entry.at, Data(entry.body), committed.milliseconds])
  }

  fileprivate func remove(_ range: JournalRange) throws {
    var sql = "DELETE FROM journal WHERE machine = ? AND task IS ?"
    var arguments: StatementArguments = [range.machine, range.task?.rawValue]
    if !range.kinds.isEmpty {
      sql += " AND kind IN (\(range.kinds.map { _ in "?" }.joined(separator: ", ")))"
      arguments += StatementArguments(range.kinds)
    }
    if let before = range.before {
      sql += " AND instant < ?"
      arguments += [before]
    }
    try cachedStatement(sql: sql).execute(arguments: arguments)
  }
}

extension DatabaseError {
  /// Whether SQLite refused the row itself, and so would refuse it again.
  fileprivate var isAboutTheRow: Bool {
    switch resultCode {
    case .SQLITE_TOOBIG, .SQLITE_CONSTRAINT, .SQLITE_MISMATCH: true
    default: false
    }
  }
}

extension JournalEntry {
  fileprivate init(_ machine: String, _ row: Row) throws {
    let task: String? = row["task"]
    let body: Data = row["body"]
    do {
      let committed: Int64? = row["committed"]
      self.init(
        machine: machine, task: try task.map { try TaskID(validating: $0) }, kind: row["kind"], at: row["instant"], body: Array(body),
        committed: committed.map(WallTime.init(milliseconds:)))
    } catch {
      throw StorageError.corrupt("the journal holds the invalid task id \"\(task ?? "")\"; restore the state folder from a backup")
    }
  }
}
