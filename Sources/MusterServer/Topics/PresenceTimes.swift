package import Logging
package import MusterSchema
package import MusterStorage
import Synchronization

/// Records when this server first heard that a node is online or offline, by its own clock.
///
/// The times are for people only; the protocol does not use them. They are saved every few seconds, so a crash loses the last ones.
package final class PresenceTimes: Sendable {
  private struct Entry: Hashable {
    var session: String
    var since: WallTime
  }

  private struct State {
    /// The latest session of each node that published this state.
    var online: [NodeID: Entry] = [:]
    var offline: [NodeID: Entry] = [:]
    /// Nodes with entries that are not saved yet.
    var changed: Set<NodeID> = []
    /// Nodes that published a state since this start. The machine knows no others yet, so only these can be missing from it.
    var heard: Set<NodeID> = []
  }

  /// Maximum number of entries between two saves, because anyone can publish under new ids.
  private static let limit = 50_000

  private let store: any Store
  private let clock: @Sendable () -> WallTime
  private let logger: Logger
  private let state: Mutex<State>

  package init(store: any Store, clock: @escaping @Sendable () -> WallTime = { .now }, logger: Logger) async throws(StorageError) {
    self.store = store
    self.clock = clock
    self.logger = logger
    var known = State()
    for row in try await store.presence() {
      let path = row.online ? \State.online : \State.offline
      known[keyPath: path][row.node] = Entry(session: row.session, since: row.since)
    }
    state = Mutex(known)
  }

  /// Takes note of a state message. A repeated state of the same session keeps its time.
  package func note(_ node: NodeState) {
    let path = node.online ? \State.online : \State.offline
    state.withLock { state in
      let isKnown = state.online[node.node] != nil || state.offline[node.node] != nil
      if isKnown || state.heard.count < Self.limit { state.heard.insert(node.node) }
      guard state[keyPath: path][node.node]?.session != node.session, node.session.utf8.count <= 64 else { return }
      guard state[keyPath: path].count < Self.limit || state[keyPath: path][node.node] != nil else { return }
      state[keyPath: path][node.node] = Entry(session: node.session, since: clock())
      state.changed.insert(node.node)
    }
  }

  /// - Returns: `nil` if no message reported the state. For example, nodes count as offline while the server's own connection is down.
  package func since(_ node: NodeState) -> WallTime? {
    guard let entry = state.withLock({ node.online ? $0.online[node.node] : $0.offline[node.node] }), entry.session == node.session else {
      return nil
    }
    return entry.since
  }

  /// Saves new entries, and removes nodes that were heard since the start and are not in `nodes`.
  ///
  /// Entries that cannot be written are kept for the next call.
  package func save(keeping nodes: Set<NodeID>) async {
    let (rows, gone) = state.withLock { state in
      // The machine may not have handled the latest messages yet.
      let gone = state.heard.subtracting(nodes).subtracting(state.changed)
      state.heard.subtract(gone)
      for node in gone { (state.online[node], state.offline[node]) = (nil, nil) }
      let rows = state.changed.flatMap { node in
        [(true, state.online[node]), (false, state.offline[node])].compactMap { online, entry in
          entry.map { PresenceRow(node: node, online: online, session: $0.session, since: $0.since) }
        }
      }
      state.changed = []
      return (rows, gone)
    }
    guard !rows.isEmpty || !gone.isEmpty else { return }
    do throws(StorageError) {
      try await store.savePresence(rows, forgetting: gone.sorted())
    } catch {
      logger.warning("the online times of nodes cannot be stored yet: \(error)")
      state.withLock { $0.changed.formUnion(rows.map(\.node)) }
    }
  }
}
