internal import MusterParticipation
internal import MusterSchema

// Anyone can publish under new ids, so the number of tracked nodes is bounded. Those that matter least are removed to make room.
extension Coordinator {
  /// Number of nodes that are removed together, so that a flood of new ids does not cost a scan of all nodes for each id.
  private var evictedAtOnce: Int { max(1, configuration.mostNodes / 16) }

  /// Makes room for new nodes. Offline nodes go first, then silent ones, then nodes that never answered a task; of these, the one that was
  /// heard of least recently. Declared regions stay, and so do nodes that were invited to a round in progress.
  mutating func evict() {
    var staying: Set<NodeID> = configuration.declared ?? []
    var answering: Set<NodeID> = []
    for run in openTasks.compactMap({ tasks[$0] }) {
      // Anyone can publish that it is at work, so only a seat that this coordinator gave by an invitation protects a node.
      for phase in [run.train, run.evaluation] {
        staying.formUnion(phase?.nodes.seats.filter { !$0.seat.isByOwnWord }.map(\.node) ?? [])
      }
      answering.formUnion(run.roll.nodes)
    }
    func rank(_ state: NodeState) -> Int {
      if !state.online { return 0 }
      if isSilent(state.node) { return 1 }
      return answering.contains(state.node) ? 3 : 2
    }
    let candidates = nodes.values.filter { !staying.contains($0.node) }
      .map { (rank: rank($0), heard: heardAt[$0.node] ?? .zero, node: $0.node) }
      .sorted { ($0.rank, $0.heard, $0.node) < ($1.rank, $1.heard, $1.node) }
    let evicted = candidates.prefix(evictedAtOnce)
    for candidate in evicted { letGo(of: candidate.node) }
    if !evicted.isEmpty { effects.append(.evicted(evicted.count, of: configuration.mostNodes)) }
  }

  /// Forgets everything about the node itself.
  mutating func letGo(of node: NodeID) {
    nodes[node] = nil
    heardAt[node] = nil
    unanswered[node] = nil
    stopWaitingForReturn(of: node)
    for id in tasks.keys {
      tasks[id]?.roll[node] = nil
      tasks[id]?.train?.nodes[node].candidate = nil
      guard let seat = tasks[id]?.train?.nodes[node].seat, seat.isByOwnWord, tasks[id]?.specification == nil else { continue }
      // The node took this seat by its own word, without an invitation.
      tasks[id]?.train?.nodes[node].seat = nil
      if tasks[id]?.isLedger == false { tasks[id]?.train?.nodes[node].hasDelivered = false }
    }
  }

  /// Makes room for a status of a node that has none in this task yet.
  mutating func makeRoomForStatus(_ id: TaskID) {
    guard let roll = tasks[id]?.roll, roll.count >= configuration.mostNodes else { return }
    // A node that never published its state could not be invited anyway.
    tasks[id]?.roll.keep { nodes[$0] != nil }
    if (tasks[id]?.roll.count ?? 0) >= configuration.mostNodes { evict() }
  }

  /// Forgets a node and clears its retained messages, at an operator's request. A node that is online after all announces itself again.
  mutating func forgetNode(_ node: NodeID) {
    for id in tasks.keys.sorted() where tasks[id]?.roll[node] != nil { effects.append(clearing(node, id)) }
    effects.append(.clear(.nodeState(coordinator: id, node: node)))
    for id in openTasks {
      lose(node, id, .train, "was forgotten by an operator", .missed)
      lose(node, id, .evaluation, "was forgotten by an operator", .missed)
    }
    if let session = nodes[node]?.session { forgottenNodes.append((node, session)) }
    if forgottenNodes.count > Self.forgottenNodesKept { forgottenNodes.removeFirst() }
    letGo(of: node)
    lookAgain()
  }

  private static let forgottenNodesKept = 64
}
