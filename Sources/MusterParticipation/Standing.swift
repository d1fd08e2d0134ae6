package import MusterSchema

/// Where a scout stands with a task, for the participant that speaks for it above.
package struct Standing: Hashable, Sendable {
  package var readiness: Readiness
  /// The order that it fills; nil without one.
  package var key: RoundKey?
  /// Devices that the order asks for.
  package var quota: Int?
  /// recruiting, filled or short.
  package var state: NodeStatus.State?
  /// Devices at work or done.
  package var have: Int
  package var reason: String?
  /// Set where the coordinator above acts on it; the reason is for people.
  package var code: ErrorCode?
  package var waiting: [Waiting]

  package init(readiness: Readiness, have: Int, waiting: [Waiting]) {
    self.readiness = readiness
    self.have = have
    self.waiting = waiting
  }
}
