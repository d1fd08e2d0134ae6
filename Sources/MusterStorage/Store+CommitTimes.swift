import GRDB
package import MusterSchema

/// When an entry of the journal was committed.
package struct CommitTime: Hashable, Sendable {
  package var task: TaskID
  package var kind: String
  /// Nil for what version 0.1.0 committed.
  package var committed: WallTime?
}

extension Store {
  /// When the entries of these kinds were committed, in the order of appending. Reads no body. Blocks.
  ///
  /// - Parameter task: nil: of all tasks.
  package func commitTimes(machine: String, kinds: [String], task: TaskID? = nil) throws(StorageError) -> [CommitTime] {
    let marks = kinds.map { _ in "?" }.joined(separator: ", ")
    var sql = "SELECT task, kind, committed FROM journal WHERE machine = ? AND kind IN (\(marks)) AND task IS NOT NULL"
    var arguments: StatementArguments = [machine]
    arguments += StatementArguments(kinds)
    if let task {
      sql += " AND task = ?"
      arguments += [task.rawValue]
    }
    do {
      return try database.read { [sql, arguments] database in
        try Row.fetchAll(database, sql: "\(sql) ORDER BY position", arguments: arguments).map { row in
          let committed: Int64? = row["committed"]
          return CommitTime(
            task: TaskID(unchecked: row["task"]), kind: row["kind"], committed: committed.map(WallTime.init(milliseconds:)))
        }
      }
    } catch {
      throw StorageError(error, "the journal")
    }
  }
}
