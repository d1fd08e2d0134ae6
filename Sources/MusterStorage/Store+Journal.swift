import FoundationEssentials
import GRDB
import Glibc
package import MusterSchema

extension Store {
  /// Commits entries, in order, in one transaction: all of them are durable when it returns, or none is there.
  ///
  /// Waits off the cooperative threads, and is not given up when the task is cancelled: what was begun is finished.
  ///
  /// - Parameter ranges: older entries that these replace, removed first in the same transaction.
  /// - Returns: the time of day that is stored beside the entries, for people.
  @discardableResult
  package func append(_ entries: [JournalEntry], replacing ranges: [JournalRange] = []) async throws(StorageError) -> WallTime {
    let committed = wallClock()
    guard !entries.isEmpty || !ranges.isEmpty else { return committed }
    try await commit { database in
      for range in ranges { try database.remove(range) }
      for entry in entries {
        do {
          try database.append(entry, committed)
        } catch let error as DatabaseError where error.isAboutTheRow {
          throw StorageError.unstorable(
            entry.task, "a record \"\(entry.kind)\" of \(entry.body.count) bytes: \(error.message ?? "refused")")
        }
      }
    }
    return committed
  }

  /// Every entry of a machine, in the order of appending. Blocks.
  package func entries(machine: String) throws(StorageError) -> [JournalEntry] {
    do {
      return try database.read { database in
        let rows = try Row.fetchCursor(
          database, sql: "SELECT task, kind, instant, body, committed FROM journal WHERE machine = ? ORDER BY position",
          arguments: [machine])
        var entries: [JournalEntry] = []
        while let row = try rows.next() { entries.append(try JournalEntry(machine, row)) }
        return entries
      }
    } catch {
      throw StorageError(error, "the journal")
    }
  }

  /// Removes every entry of a task.
  package func forget(machine: String, task: TaskID) async throws(StorageError) {
    try await append([], replacing: [JournalRange(machine: machine, task: task)])
  }

  /// The machine's own time of its last commit, milliseconds; 0 before the first. It stays when entries go. Blocks.
  package func lastInstant(machine: String) throws(StorageError) -> Int64 {
    do {
      return try database.read {
        try Int64.fetchOne($0, sql: "SELECT instant FROM machine WHERE name = ?", arguments: [machine]) ?? 0
      }
    } catch {
      throw StorageError(error, "the journal")
    }
  }

  private func commit(_ changes: @escaping @Sendable (Database) throws -> Void) async throws(StorageError) {
    let path = "\(folder)/muster.sqlite"
    let result: Result<Void, StorageError> = await withCheckedContinuation { continuation in
      database.asyncWriteWithoutTransaction { database in
        errno = 0
        do {
          try database.inTransaction(.immediate) {
            try changes(database)
            return .commit
          }
          continuation.resume(returning: .success(()))
        } catch {
          // SQLite calls only ENOSPC a full disk; a quota and a file size limit are one too, and the thread's errno still says so.
          let code = errno
          let isFull = (error as? DatabaseError)?.extendedResultCode == .SQLITE_IOERR_WRITE && [EFBIG, EDQUOT].contains(code)
          continuation.resume(returning: .failure(isFull ? StorageError(code, path) : StorageError(error, path)))
        }
      }
    }
    try result.get()
  }
}

extension Database {
  fileprivate func append(_ entry: JournalEntry, _ committed: WallTime) throws {
    try cachedStatement(
      sql: """
        INSERT INTO machine (name, instant) VALUES (?, ?)
        ON CONFLICT (name) DO UPDATE SET instant = max(instant, excluded.instant)
        """
    ).execute(arguments: [entry.machine, entry.at])
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
    try execute(sql: sql, arguments: arguments)
  }
}

extension DatabaseError {
  /// The row itself is refused: it will be refused again.
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
      throw StorageError.corrupt("the journal names a task \"\(task ?? "")\"; restore the state folder from a backup")
    }
  }
}
