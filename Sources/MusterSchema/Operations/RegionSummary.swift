/// `GET /v1/regions`, one element each.
package struct RegionSummary: Codable, Hashable, Sendable {
  package var region: NodeID
  /// Whether central's configuration declares the region. A region that is not declared is never invited.
  package var declared: Bool
  package var online: Bool
  /// Seconds without any message from the region since an invitation that it did not answer; `nil` if the region is not silent.
  package var silentSeconds: Double?
  /// When central first heard that the region is online or offline; `nil` if unknown.
  package var since: WallTime?
  /// Why the region is offline: a constant of ``Farewell``.
  package var reason: String?
  package var data: String?
  package var tasks: [NodeStatus]

  package init(
    region: NodeID, declared: Bool, online: Bool, silentSeconds: Double? = nil, since: WallTime? = nil, reason: String? = nil,
    data: String?, tasks: [NodeStatus]
  ) {
    self.since = since
    self.reason = reason
    self.silentSeconds = silentSeconds
    self.region = region
    self.declared = declared
    self.online = online
    self.data = data
    self.tasks = tasks
  }
}
