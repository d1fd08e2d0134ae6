/// `GET /v1/nodes`, one element each; at central over all regions that answer.
public struct NodeSummary: Codable, Hashable, Sendable {
  public var path: NodePath
  public var state: NodeState
  /// Since when it has not answered an invitation, and nothing was heard of it; nil when it is not silent.
  public var silentSeconds: Double?
  /// When the region first heard that the device is online or offline; nil if it did not.
  public var since: WallTime?
  public var tasks: [NodeStatus]

  public init(path: NodePath, state: NodeState, silentSeconds: Double? = nil, since: WallTime? = nil, tasks: [NodeStatus]) {
    self.since = since
    self.silentSeconds = silentSeconds
    self.path = path
    self.state = state
    self.tasks = tasks
  }
}
