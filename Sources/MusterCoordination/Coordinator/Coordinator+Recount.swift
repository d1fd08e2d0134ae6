internal import MusterSchema

// The counters that are updated with each change must equal a full recount. The simulation and the tests check that.
extension Coordinator {
  /// Names a counter that is wrong; `nil` if none is. Recounts everything.
  package var miscount: String? {
    let open = tasks.values.filter { !$0.isEnded }
    if Array(openTasks) != open.map(\.id).sorted() { return "open tasks" }
    for run in open {
      if let what = miscount(of: run) { return "task \(run.id): \(what)" }
    }
    return nil
  }

  private func miscount(of run: TaskRun) -> String? {
    let turnouts = run.roll.nodes.map { (node: $0, turnout: turnout(of: $0, run)) }
    for (node, turnout) in turnouts where run.roll.turnout(of: node) != turnout {
      return "\(node) is recorded as \(run.roll.turnout(of: node)) but should be \(turnout)"
    }
    if run.roll.ready != turnouts.reduce(0, { $0 + $1.turnout.ready }) { return "devices that are ready" }
    if run.roll.declined != turnouts.reduce(0, { $0 + $1.turnout.declined }) { return "devices that are not ready" }
    if Array(run.roll.withReason) != turnouts.filter(\.turnout.hasReason).map(\.node).sorted() { return "nodes with a reason" }
    for phase in [run.train, run.evaluation].compactMap({ $0 }) {
      let accepted = phase.accepted.values
      if phase.deliveredDevices != accepted.reduce(0, { $0 + $1.devices }) { return "devices that delivered" }
      let counted = accepted.filter { !phase.refused.contains($0.path.description) }
      if phase.acceptedDevices != counted.reduce(0, { $0 + $1.devices }) { return "devices whose work counts" }
      let senders = Dictionary(grouping: accepted) { phase.order == nil ? $0.path.nodes.first : $0.path.nodes.last }
      if senders.contains(where: { node, all in node.map { phase.nodes[$0].accepted } != all.reduce(0) { $0 + $1.devices } }) {
        return "devices of one node"
      }
    }
    guard let phase = run.train, phase.order != nil, !phase.isClosed else { return nil }
    for (node, turnout) in turnouts where phase.nodes[node].candidate != (turnout.ready > 0 ? candidate(node, run, phase) : nil) {
      return "the position of \(node) among the ready devices"
    }
    if Array(phase.nodes.free) != phase.nodes.all.compactMap(\.value.free).sorted() { return "nodes that may be offered a seat" }
    if phase.nodes.all.contains(where: { $0.value.isReturning != returning.contains($0.key) }) { return "nodes that are expected back" }
    return nil
  }
}
