internal import MusterParticipation
internal import MusterSchema

// Who is ready, and who is not. Each change of a status, of a node's presence or of its silence counts that one node anew.
extension Coordinator {
  /// Counts a node anew in all tasks that go on: its presence or its silence has changed.
  mutating func review(_ node: NodeID) {
    for id in openTasks { review(node, id) }
  }

  /// Counts all nodes of a task anew: the task has changed, or a phase of it has opened.
  mutating func reviewAll(_ id: TaskID) {
    for node in tasks[id].map({ Array($0.roll.nodes) }) ?? [] { review(node, id) }
  }

  /// Counts a node anew in a task: its status has changed.
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

  /// - Parameter state: of a device that is online.
  private func isReady(_ state: NodeState, _ status: NodeStatus, _ run: TaskRun) -> Bool {
    guard !isSilent(state.node), Admission.mismatch(run.descriptor, state) == nil else { return false }
    switch status.state {
    case .ready, .done, .accepted, .training, .uploading: return true
    case .declined, .failed, .recruiting, .filled, .short: return false
    }
  }

  /// Why a device is not ready; nil when that is not known.
  func reason(_ node: NodeID, _ status: NodeStatus, _ run: TaskRun) -> String? {
    let silent = isSilent(node) ? Self.silentReason : nil
    return silent ?? status.reason ?? nodes[node].flatMap { Admission.mismatch(run.descriptor, $0) }
  }

  /// A device's place in the order in which the task's selection wants devices.
  func candidate(_ node: NodeID, _ run: TaskRun, _ phase: PhaseRun) -> PhaseNode.Candidate {
    PhaseNode.Candidate(
      load: run.descriptor.selection == .load ? loadPerCore(node) : 0, order: Seeds.derive(phase.seed, node.rawValue), node: node)
  }

  /// A node that does not report its load stands last.
  private func loadPerCore(_ node: NodeID) -> Double {
    guard let resources = nodes[node]?.resources, let load = resources.load, load.isFinite else { return .infinity }
    return load / Double(max(1, resources.cores ?? 1))
  }
}
