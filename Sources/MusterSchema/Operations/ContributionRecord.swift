/// One contribution in a round's record.
public struct ContributionRecord: Codable, Hashable, Sendable {
  public var path: NodePath
  public var digest: Digest
  public var weight: Double
  public var bytes: Int
  /// Devices behind it; nil: one. A region's contribution stands for all of its devices'.
  public var count: Int?
  public var metrics: [String: Double]
  public var fate: Fate
  public var reason: String?

  public var devices: Int { count ?? 1 }

  public init(
    path: NodePath, digest: Digest, weight: Double, bytes: Int, count: Int? = nil, metrics: [String: Double], fate: Fate = .counted,
    reason: String? = nil
  ) {
    self.path = path
    self.digest = digest
    self.weight = weight
    self.bytes = bytes
    self.count = count
    self.metrics = metrics
    self.fate = fate
    self.reason = reason
  }
}
