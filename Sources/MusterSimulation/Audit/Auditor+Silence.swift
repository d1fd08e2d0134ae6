internal import MusterCoordination
internal import MusterSchema

// Who does not answer an invitation is not asked for another round before something was heard of it.
extension Auditor {
  struct Unanswered {
    var task: TaskID
    var key: RoundKey
    var since: Int64
    /// How often the invitation was repeated.
    var repeats = 0
    /// Other rounds that it was invited to before it counted as silent: their invitations are repeated as well.
    var others: [(task: TaskID, key: RoundKey)] = []
  }

  /// An invitation goes out.
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
      "\(coordinator) invites \(node) to \(invitation.key) of \(invitation.task), which for \((world.time - first.since) / 1000) s did not "
        + "answer the invitation to \(first.key) of \(first.task)")
  }

  /// Something new of a node reaches its coordinator.
  func hears(_ packet: Packet, by coordinator: NodeID) {
    switch packet.key.kind {
    case .nodeState, .nodeStatus: unanswered[coordinator]?[world.directory.nodes[packet.key.node]] = nil
    case .coordinatorState, .task, .round, .invitation: break
    }
  }

  /// Its connection or its memory is new: whoever did not answer has the time for it again.
  func losesTrack(of coordinator: NodeID) { unanswered[coordinator] = nil }
}
