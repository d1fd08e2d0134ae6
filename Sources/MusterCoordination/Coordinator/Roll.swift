internal import MusterSchema

/// Each node's last status in one task, with counts that are updated with each change, so that no event has to look at every node.
struct Roll: Sendable {
  /// How a node counts. At a scout a node is one device; at the root a region reports how many it has.
  struct Turnout: Hashable, Sendable {
    /// Devices that may be invited.
    var ready = 0
    /// Devices that have answered but may not be invited.
    var declined = 0
    /// Whether the reason for that is known.
    var hasReason = false
  }

  private struct Entry: Sendable {
    @Boxed var status: NodeStatus
    var turnout = Turnout()
  }

  private var entries: SharingDictionary<NodeID, Entry> = [:]
  private(set) var ready = 0
  private(set) var declined = 0
  /// Nodes whose reason for not being ready is known.
  private(set) var withReason = SortedSet<NodeID>()

  var count: Int { entries.count }
  var nodes: some Collection<NodeID> { entries.keys }
  var statuses: some Collection<NodeStatus> { entries.values.lazy.map(\.status) }

  /// A node's last status. Setting a new one does not change how the node counts; ``count(_:of:)`` does.
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

  /// Nodes with ready devices, sorted by id.
  var readyNodes: [(node: NodeID, devices: Int)] {
    entries.compactMap { $0.value.turnout.ready > 0 ? ($0.key, $0.value.turnout.ready) : nil }.sorted { $0.0 < $1.0 }
  }

  /// Recounts a node. A node without a status does not count.
  ///
  /// - Returns: whether the count has changed.
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
