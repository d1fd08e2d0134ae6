internal import MusterCoordination
internal import MusterSchema

// Checks that a node that does not answer an invitation is not invited to another round before something was heard of it.
extension Auditor {
  struct Unanswered {
    var task: TaskID
    var key: RoundKey
    var since: Int64
    /// How often the invitation was repeated.
    var repeats = 0
    /// Other rounds to which it was invited before it counted as silent. Their invitations are repeated as well.
    var others: [(task: TaskID, key: RoundKey)] = []
  }

  /// Notes that an invitation goes out.
  func asks(_ node: NodeID, _ invitation: Invitation, by coordinator: NodeID) {
    guard let first = unanswered[coordinator]?[node] else {
      unanswered[coordinator, default: [:]][node] = Unanswered(task: invitation.task, key: invitation.key, since: world.time)
      return
    }
    guard first.task != invitation.task || first.key != invitation.key else {
      unanswered[coordinator]?[node]?.repeats += 1
      return
    }
    guard !first.others.contains(where: { $0.task == invitation.task && $0.key == invitation.key }) else { return }
    unanswered[coordinator]?[node]?.others.append((invitation.task, invitation.key))
    check(
      first.repeats < 2 || world.time - first.since < 13_000,
      "\(coordinator) invites \(node) to \(invitation.key) of \(invitation.task), but for \((world.time - first.since) / 1000) s the node "
        + "has not answered the invitation to \(first.key) of \(first.task)")
  }

  /// Notes that something new of a node has reached its coordinator.
  func hears(_ packet: Packet, by coordinator: NodeID) {
    switch packet.key.kind {
    case .nodeState, .nodeStatus: unanswered[coordinator]?[world.directory.nodes[packet.key.node]] = nil
    case .coordinatorState, .task, .round, .invitation: break
    }
  }

  /// The coordinator's connection or memory is new, so the nodes that have not answered get their time to answer again.
  func losesTrack(of coordinator: NodeID) { unanswered[coordinator] = nil }
}
