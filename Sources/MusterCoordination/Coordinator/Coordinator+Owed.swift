package import MusterSchema

extension Coordinator {
  /// Everything that the state owes, to everybody (nil) or to one node. The only source of repetition: asked after a restart, on every connect
  /// to the broker and on a node's birth.
  package func owed(to node: NodeID?) -> [Effect] {
    guard let node else {
      return forgotten.filter { tasks[$0] == nil }.flatMap(clearings) + tasks.keys.sorted().flatMap { owed(task: $0) }
    }
    return openTasks.flatMap { invitationsOwed($0, to: node) }
  }

  func owed(task id: TaskID) -> [Effect] {
    guard let run = tasks[id] else { return [] }
    // Retired: nothing is left on topics.
    if run.isEnded { return run.endedAt == nil ? [] : [.publish(describe(id)), .roundChanged(id)] }
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
    return effects + invitationsOwed(id)
  }

  /// - Parameter node: nil: of all nodes.
  private func invitationsOwed(_ id: TaskID, to node: NodeID? = nil) -> [Effect] {
    guard let run = tasks[id], !run.isEnded, !run.isPaused else { return [] }
    return [run.train, run.evaluation].compactMap { $0 }.filter { !$0.isClosed && now < $0.deadline }.flatMap { phase -> [Effect] in
      let seats = node.map { node in phase.nodes[node].seat.map { [(node, $0)] } ?? [] } ?? phase.nodes.seats
      return seats.filter { $0.seat.askedAt != nil }.map { .invite($0.node, invitation(run, phase, $0.node, $0.seat)) }
    }
  }
}

extension Coordinator {
  /// The descriptors that stand on topics, in the order of their tasks.
  package var descriptors: [TaskDescriptor] {
    tasks.keys.sorted().filter { tasks[$0].map { !$0.isEnded || $0.endedAt != nil } ?? false }.map(describe)
  }
}
