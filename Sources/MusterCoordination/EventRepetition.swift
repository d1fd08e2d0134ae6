/// An event of a server's machine. When a commit fails, its batch of events is lost. Some events are repeated; for the others the connection
/// to the broker is renewed.
package protocol RepeatedEvent {
  /// Whether the event comes again: its sender waits for an answer and repeats it.
  var isRepeated: Bool { get }
}

extension Coordinator.Event: RepeatedEvent {
  package var isRepeated: Bool {
    switch self {
    case .contribution, .accept, .pause, .resume, .cancel, .evaluate, .initialized, .aggregated, .fellShort, .evaluated, .workFailed,
      .workDelayed, .forgetNode, .combined, .unstorable, .tick:
      true
    case .node, .status, .forward, .order, .release, .ledger, .forget, .delivered, .connected, .disconnected: false
    }
  }
}

extension RegionMachine.Event: RepeatedEvent {
  package var isRepeated: Bool {
    switch self {
    case .below(let event): event.isRepeated
    case .above: false
    case .unstorable, .tick: true
    }
  }
}
