package import MusterSchema

extension Coordinator {
  /// Everything that the state owes to other programs, except invitations. Read after a restart and on every connect to the broker; nothing
  /// else repeats what was sent.
  package func owed() -> [Effect] {
    forgotten.filter { tasks[$0] == nil }.flatMap(clearings) + tasks.keys.sorted().flatMap { owed(task: $0) }
  }

  /// Marks unanswered invitations as not sent, because they may have been lost. They are sent again in their turn, the next time that the
  /// coordinator looks at the task.
  ///
  /// - Parameter node: the only node to mark; `nil` marks all nodes and restarts their time to answer.
  mutating func oweInvitations(_ id: TaskID, to node: NodeID? = nil) {
    // The births of a single node do not prolong its time to answer.
    let isForAll = node == nil
    for slot in [PhaseSlot.train, .evaluation] {
      guard let nodes = tasks[id]?[slot]?.nodes else { continue }
      for node in node.map({ [$0] }) ?? Array(nodes.pending) where nodes[node].seat?.askedAt != nil {
        tasks[id]?[slot]?.nodes[node].seat?.oweInvitation(restarts: isForAll)
      }
    }
  }

  func owed(task id: TaskID) -> [Effect] {
    guard let run = tasks[id] else { return [] }
    var effects: [Effect] = [.publish(describe(id)), .roundChanged(id)]
    switch run.stage {
    case .initializing: effects.append(.initialize(id))
    case .aggregating: effects.append(.aggregate(id, round: run.round))
    case .evaluating where run.centralEvaluates: effects.append(.evaluate(id, round: run.round))
    case .scouting: effects += run.isLedger ? [.standingChanged(id)] : [.consult(id), .standingChanged(id)]
    case .waiting: effects.append(.standingChanged(id))
    case .delivering:
      effects.append(.standingChanged(id))
      if let key = run.train?.key, let combined = run.combined { effects.append(.deliver(id, key, combined.result)) }
    case .recruiting, .training, .evaluating, .ended: break
    }
    return effects
  }
}

extension Coordinator {
  /// The descriptor that belongs on the task's topic; `nil` if none does.
  package func descriptor(of id: TaskID) -> TaskDescriptor? {
    tasks[id] == nil ? nil : describe(id)
  }

  /// The descriptors that belong on topics, sorted by task.
  package var descriptors: [TaskDescriptor] {
    tasks.keys.sorted().compactMap(descriptor)
  }
}
