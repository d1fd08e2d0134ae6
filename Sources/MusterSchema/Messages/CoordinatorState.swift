/// `muster/v1/{c}/state`: a coordinator's birth (online) and Will (offline).
public struct CoordinatorState: Message {
  public static var kind: String { "coordinator-state" }

  public var coordinator: NodeID
  public var online: Bool
  /// Drawn anew for each connection. An offline counts only if its session equals the last birth's.
  public var session: String
  /// Where devices reach the data plane: `http://10.0.0.5:7410`.
  public var data: String?
  /// Where operators reach the ops API.
  public var ops: String?
  /// The program's version.
  public var version: String?
  /// Why the state is offline: a constant of ``Farewell``. Version 0.1.0 does not send it.
  public var reason: String?

  public init(
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
