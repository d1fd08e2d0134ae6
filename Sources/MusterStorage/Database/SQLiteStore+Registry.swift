import FoundationEssentials
import GRDB

/// A row of central's registry of members. Its content is opaque to the store.
package struct RegistryRow: Hashable, Sendable {
  package var kind: String
  /// Identifies the row among those of its kind.
  package var key: String
  /// JSON; `nil` removes the row.
  package var body: [UInt8]?

  package init(kind: String, key: String, body: [UInt8]?) {
    self.kind = kind
    self.key = key
    self.body = body
  }
}

extension SQLiteStore {
  package func registry() async throws(StorageError) -> [RegistryRow] {
    try await read("the registry of members") { database in
      try Row.fetchAll(database, sql: "SELECT kind, key, body FROM registry").map { row in
        let body: Data = row["body"]
        return RegistryRow(kind: row["kind"], key: row["key"], body: Array(body))
      }
    }
  }
}

extension Database {
  func apply(_ row: RegistryRow) throws {
    guard let body = row.body else {
      return try cachedStatement(sql: "DELETE FROM registry WHERE kind = ? AND key = ?").execute(arguments: [row.kind, row.key])
    }
    try cachedStatement(sql: "INSERT OR REPLACE INTO registry (kind, key, body) VALUES (?, ?, ?)").execute(
      arguments: [row.kind, row.key, Data(body)])
  }
}
