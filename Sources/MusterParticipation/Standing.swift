package import MusterSchema

/// Where a scout stands with a task. Its participant reports this to the coordinator above.
package struct Standing: Hashable, Sendable {
  package var readiness: Readiness
  /// The order that the scout is filling; `nil` without one.
  package var key: RoundKey?
  /// Devices that the order asks for.
  package var quota: Int?
  /// One of `recruiting`, `filled` and `short`.
  package var state: NodeStatus.State?
  /// Devices at work or done.
  package var have: Int
  package var reason: String?
  /// Set where the coordinator above acts on it. The reason is for people.
  package var code: ErrorCode?
  package var waiting: [Waiting]

  package init(readiness: Readiness, have: Int, waiting: [Waiting]) {
    self.readiness = readiness
    self.have = have
    self.waiting = waiting
  }
}
