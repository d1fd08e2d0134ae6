package import Logging
package import MusterSchema
package import MusterStorage
import Synchronization

/// Since when nodes are online, or offline: when this server first heard of it, by its own clock. For people only; kept over restarts, except for
/// the last seconds before a crash.
package final class PresenceTimes: Sendable {
  private struct Entry: Hashable {
    var session: String
    var since: WallTime
  }

  private struct State {
    /// The latest session of each node that was heard to be in the state.
    var online: [NodeID: Entry] = [:]
    var offline: [NodeID: Entry] = [:]
    /// Heard since the last save.
    var changed: Set<NodeID> = []
  }

  /// Nodes that are remembered between two saves, whatever strangers publish.
  private static let limit = 50_000

  private let store: Store
  private let clock: @Sendable () -> WallTime
  private let logger: Logger
  private let state: Mutex<State>

  /// Blocks.
  package init(store: Store, clock: @escaping @Sendable () -> WallTime = { .now }, logger: Logger) throws(StorageError) {
    self.store = store
    self.clock = clock
    self.logger = logger
    var known = State()
    for row in try store.presence() {
      let path = row.online ? \State.online : \State.offline
      known[keyPath: path][row.node] = Entry(session: row.session, since: row.since)
    }
    state = Mutex(known)
  }

  /// A node's state was heard, for the first time or again.
  package func note(_ node: NodeState) {
    let path = node.online ? \State.online : \State.offline
    state.withLock { state in
      guard state[keyPath: path][node.node]?.session != node.session, node.session.utf8.count <= 64 else { return }
      guard state[keyPath: path].count < Self.limit || state[keyPath: path][node.node] != nil else { return }
      state[keyPath: path][node.node] = Entry(session: node.session, since: clock())
      state.changed.insert(node.node)
    }
  }

  /// Nil when the state was not heard: the server's own connection is away, or a broker forgot.
  package func since(_ node: NodeState) -> WallTime? {
    let entry = state.withLock { node.online ? $0.online[node.node] : $0.offline[node.node] }
    return entry?.session == node.session ? entry?.since : nil
  }

  /// Writes what is new, and forgets nodes that are not among these. What cannot be written is tried again the next time.
  package func save(keeping nodes: Set<NodeID>) async {
    let (rows, gone) = state.withLock { state in
      // One that was heard a moment ago may not have reached the machine.
      let gone = Set(state.online.keys).union(state.offline.keys).subtracting(nodes).subtracting(state.changed)
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
    let store = store
    do throws(StorageError) {
      try await offloading { () throws(StorageError) in try store.savePresence(rows, forgetting: gone.sorted()) }
    } catch {
      logger.warning("since when nodes are online is not stored yet: \(error)")
      state.withLock { $0.changed.formUnion(rows.map(\.node)) }
    }
  }
}
