/// One contribution in a round's record.
package struct ContributionRecord: Codable, Hashable, Sendable {
  package var path: NodePath
  package var digest: Digest
  package var weight: Double
  package var bytes: Int
  /// Number of devices behind the contribution; `nil` means one. A region's contribution stands for all of its devices.
  package var count: Int?
  package var metrics: [String: Double]
  package var fate: Fate
  package var reason: String?

  package var devices: Int { count ?? 1 }

  package init(
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
