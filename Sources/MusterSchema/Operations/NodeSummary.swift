/// `GET /v1/nodes`, one element each. Central lists the nodes of all regions that answer.
package struct NodeSummary: Codable, Hashable, Sendable {
  package var path: NodePath
  package var state: NodeState
  /// Seconds without any message from the node since an invitation that it did not answer; `nil` if the node is not silent.
  package var silentSeconds: Double?
  /// When the region first heard that the device is online or offline; `nil` if unknown.
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
