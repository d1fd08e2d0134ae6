package import MusterSchema

extension Coordinator {
  /// Everything that the state owes, to everybody (nil) or to one node. The only source of repetition: asked after a restart, on every connect
  /// to the broker and on a node's birth.
  package func owed(to node: NodeID?) -> [Effect] {
    guard let node else {
      return forgotten.filter { tasks[$0] == nil }.flatMap(clearings) + tasks.keys.sorted().flatMap { owed(task: $0) }
    }
    return tasks.keys.sorted().flatMap { id in invitationsOwed(id).filter { if case .invite(node, _) = $0 { true } else { false } } }
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

  private func invitationsOwed(_ id: TaskID) -> [Effect] {
    guard let run = tasks[id], !run.isEnded, !run.isPaused else { return [] }
    return [run.train, run.evaluation].compactMap { $0 }.filter { !$0.isClosed && now < $0.deadline }.flatMap { phase in
      phase.nodes.seats.filter { $0.seat.askedAt != nil }.map { .invite($0.node, invitation(run, phase, $0.node, $0.seat)) }
    }
  }
}

extension Coordinator {
  /// The descriptors that stand on topics, in the order of their tasks.
  package var descriptors: [TaskDescriptor] {
    owed(to: nil).compactMap { if case .publish(let descriptor) = $0 { descriptor } else { nil } }
  }
}
