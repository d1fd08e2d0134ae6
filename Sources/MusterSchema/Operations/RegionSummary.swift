/// `GET /v1/regions`, one element each.
public struct RegionSummary: Codable, Hashable, Sendable {
  public var region: NodeID
  /// False: it announces itself, but central's configuration does not declare it, so it is never invited.
  public var declared: Bool
  public var online: Bool
  /// Since when it has not answered an invitation, and nothing was heard of it; nil when it is not silent.
  public var silentSeconds: Double?
  /// When central first heard that the region is online or offline; nil if it did not.
  public var since: WallTime?
  /// Why the region is offline: a constant of ``Farewell``.
  public var reason: String?
  public var data: String?
  public var tasks: [NodeStatus]

  public init(
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
