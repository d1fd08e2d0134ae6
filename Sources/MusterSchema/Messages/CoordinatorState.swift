/// `muster/v1/{c}/state`: a coordinator's birth (online) and Will (offline).
package struct CoordinatorState: Message {
  package static var kind: String { "coordinator-state" }

  package var coordinator: NodeID
  package var online: Bool
  /// Random for each connection. An offline state counts only if its session equals that of the last birth.
  package var session: String
  /// The address at which devices reach the data plane: `http://10.0.0.5:7410`.
  package var data: String?
  /// The address at which operators reach the ops API.
  package var ops: String?
  /// The program's version.
  package var version: String?
  /// Why the state is offline: a constant of ``Farewell``. Version 0.1.0 does not send it.
  package var reason: String?

  package init(
    coordinator: NodeID, online: Bool, session: String, data: String? = nil, ops: String? = nil, version: String? = nil,
    reason: String? = nil
  ) {
    self.coordinator = coordinator
    self.online = online
    self.session = session
    self.data = data
    self.ops = ops
    self.version = version
    self.reason = reason
  }
}
