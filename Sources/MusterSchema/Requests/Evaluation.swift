/// An evaluation that a device uploads.
public struct Evaluation: Codable, Hashable, Sendable {
  /// The model that was evaluated.
  public var base: Digest
  public var weight: Double
  /// Devices behind it, of a region's; nil: one.
  public var count: Int?
  public var metrics: [String: Double]

  public init(base: Digest, weight: Double, count: Int? = nil, metrics: [String: Double]) {
    self.base = base
    self.weight = weight
    self.count = count
    self.metrics = metrics
  }
}
