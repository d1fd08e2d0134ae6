internal import MusterParticipation
internal import MusterSchema

// Which devices are ready. A change of a node's status, presence or silence recounts only that node.
extension Coordinator {
  /// Recounts a node in all open tasks, because its presence or its silence has changed.
  mutating func review(_ node: NodeID) {
    for id in openTasks { review(node, id) }
  }

  /// Recounts all nodes of a task, because the task has changed or one of its phases has opened.
  mutating func reviewAll(_ id: TaskID) {
    for node in tasks[id].map({ Array($0.roll.nodes) }) ?? [] { review(node, id) }
  }

  /// Recounts a node in one task, because its status has changed.
  mutating func review(_ node: NodeID, _ id: TaskID) {
    guard let run = tasks[id] else { return }
    let turnout = turnout(of: node, run)
    if tasks[id]?.roll.count(turnout, of: node) == true {
      tasks[id]?.train?.nodes.quotasAreSettled = false
      tasks[id]?.evaluation?.nodes.quotasAreSettled = false
    }
    guard let phase = run.train, phase.order != nil, !phase.isClosed else { return }
    let candidate = turnout.ready > 0 ? candidate(node, run, phase) : nil
    if phase.nodes[node].candidate != candidate { tasks[id]?.train?.nodes[node].candidate = candidate }
  }

  func turnout(of node: NodeID, _ run: TaskRun) -> Roll.Turnout {
    guard let status = run.roll[node], let state = nodes[node], state.online else { return Roll.Turnout() }
    if let specification = run.specification {
      let mayTakePart = !isSilent(node) && configuration.declared?.contains(node) ?? true && specification.regions.contains(node)
      guard mayTakePart else { return Roll.Turnout() }
      return Roll.Turnout(ready: status.devices?.asDevices ?? 0, declined: status.declined?.asDevices ?? 0)
    }
    return isReady(state, status, run)
      ? Roll.Turnout(ready: 1) : Roll.Turnout(declined: 1, hasReason: reason(node, status, run) != nil)
  }

  /// Whether a device may be invited.
  ///
  /// - Parameter state: the state of a device that is online.
  private func isReady(_ state: NodeState, _ status: NodeStatus, _ run: TaskRun) -> Bool {
    guard !isSilent(state.node), Admission.mismatch(run.descriptor, state) == nil else { return false }
    switch status.state {
    case .ready, .done, .accepted, .training, .uploading: return true
    case .declined, .failed, .recruiting, .filled, .short: return false
    }
  }

  /// Why a device is not ready; `nil` if the reason is not known.
  func reason(_ node: NodeID, _ status: NodeStatus, _ run: TaskRun) -> String? {
    let silent = isSilent(node) ? Self.silentReason : nil
    return silent ?? status.reason ?? nodes[node].flatMap { Admission.mismatch(run.descriptor, $0) }
  }

  /// A device's place in the order in which the task's selection prefers devices.
  func candidate(_ node: NodeID, _ run: TaskRun, _ phase: PhaseRun) -> PhaseNode.Candidate {
    PhaseNode.Candidate(
      load: run.descriptor.selection == .load ? loadPerCore(node) : 0, rank: Seeds.derive(phase.seed, node.rawValue), node: node)
  }

  /// A node's load per core. A node that does not report its load comes last.
  private func loadPerCore(_ node: NodeID) -> Double {
    guard let resources = nodes[node]?.resources, let load = resources.load, load.isFinite else { return .infinity }
    return load / Double(max(1, resources.cores ?? 1))
  }
}
