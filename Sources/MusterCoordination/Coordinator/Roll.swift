internal import MusterSchema

/// What nodes last said of a task, and what that comes to: kept as it changes, so that no event looks at every node.
struct Roll: Sendable {
  /// How a node counts. At a scout a node is one device; at the root a region says how many it has.
  struct Turnout: Hashable, Sendable {
    /// Devices that may be invited.
    var ready = 0
    /// Devices that are there, and may not.
    var declined = 0
    /// Whether it is known why.
    var hasReason = false
  }

  private struct Entry: Sendable {
    @Boxed var status: NodeStatus
    var turnout = Turnout()
  }

  private var entries: SharingDictionary<NodeID, Entry> = [:]
  private(set) var ready = 0
  private(set) var declined = 0
  /// Nodes with a reason that is known.
  private(set) var withReason = SortedSet<NodeID>()

  var count: Int { entries.count }
  var nodes: some Collection<NodeID> { entries.keys }
  var statuses: some Collection<NodeStatus> { entries.values.lazy.map(\.status) }

  /// A node's last status. A new one does not change how the node counts: that is a call of ``count(_:of:)``.
  subscript(node: NodeID) -> NodeStatus? {
    get { entries[node]?.status }
    set {
      guard let newValue else {
        count(Turnout(), of: node)
        entries[node] = nil
        return
      }
      if entries[node] == nil { entries[node] = Entry(status: newValue) } else { entries[node]?.status = newValue }
    }
  }

  /// Nodes with devices that are ready, by id.
  var readyNodes: [(node: NodeID, devices: Int)] {
    entries.compactMap { $0.value.turnout.ready > 0 ? ($0.key, $0.value.turnout.ready) : nil }.sorted { $0.0 < $1.0 }
  }

  /// Counts a node anew. One without a status does not count.
  ///
  /// - Returns: whether it counted otherwise before.
  @discardableResult
  mutating func count(_ turnout: Turnout, of node: NodeID) -> Bool {
    guard let before = entries[node]?.turnout, before != turnout else { return false }
    entries[node]?.turnout = turnout
    ready += turnout.ready - before.ready
    declined += turnout.declined - before.declined
    if before.hasReason != turnout.hasReason {
      if turnout.hasReason { withReason.insert(node) } else { withReason.remove(node) }
    }
    return true
  }

  func turnout(of node: NodeID) -> Turnout { entries[node]?.turnout ?? Turnout() }

  /// Forgets the statuses of nodes that do not satisfy the condition.
  mutating func keep(where isKept: (NodeID) -> Bool) {
    for node in entries.keys.filter({ !isKept($0) }) { self[node] = nil }
  }
}
