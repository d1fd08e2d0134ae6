import GRDB
package import MusterSchema

/// The time at which a server first heard that a node is online or offline in a session.
package struct PresenceRow: Hashable, Sendable {
  package var node: NodeID
  package var online: Bool
  package var session: String
  package var since: WallTime

  package init(node: NodeID, online: Bool, session: String, since: WallTime) {
    self.node = node
    self.online = online
    self.session = session
    self.since = since
  }
}

extension SQLiteStore {
  package func presence() async throws(StorageError) -> [PresenceRow] {
    try await read("the presence of nodes") { database in
      try Row.fetchAll(database, sql: "SELECT node, online, session, since FROM presence").map { row in
        PresenceRow(
          node: NodeID(unchecked: row["node"]), online: row["online"], session: row["session"],
          since: WallTime(milliseconds: row["since"]))
      }
    }
  }

  package func savePresence(_ rows: [PresenceRow], forgetting nodes: [NodeID]) async throws(StorageError) {
    try await write { database in
      for node in nodes {
        try database.cachedStatement(sql: "DELETE FROM presence WHERE node = ?").execute(arguments: [node.rawValue])
      }
      for row in rows {
        try database.cachedStatement(sql: "INSERT OR REPLACE INTO presence (node, online, session, since) VALUES (?, ?, ?, ?)").execute(
          arguments: [row.node.rawValue, row.online, row.session, row.since.milliseconds])
      }
    }
  }
}
