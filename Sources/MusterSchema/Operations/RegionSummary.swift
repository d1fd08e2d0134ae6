/// `GET /v1/regions`, one element each.
package struct RegionSummary: Codable, Hashable, Sendable {
  package var region: NodeID
  /// False: it announces itself, but central's configuration does not declare it, so it is never invited.
  package var declared: Bool
  package var online: Bool
  /// Since when it has not answered an invitation, and nothing was heard of it; nil when it is not silent.
  package var silentSeconds: Double?
  /// When central first heard that the region is online or offline; nil if it did not.
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
