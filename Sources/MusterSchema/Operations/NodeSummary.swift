/// `GET /v1/nodes`, one element each; at central over all regions that answer.
package struct NodeSummary: Codable, Hashable, Sendable {
  package var path: NodePath
  package var state: NodeState
  /// Since when it has not answered an invitation, and nothing was heard of it; nil when it is not silent.
  package var silentSeconds: Double?
  /// When the region first heard that the device is online or offline; nil if it did not.
  package var since: WallTime?
  package var tasks: [NodeStatus]

  package init(path: NodePath, state: NodeState, silentSeconds: Double? = nil, since: WallTime? = nil, tasks: [NodeStatus]) {
    self.since = since
    self.silentSeconds = silentSeconds
    self.path = path
    self.state = state
    self.tasks = tasks
  }
}
