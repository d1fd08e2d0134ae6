/// An evaluation that a device uploads.
package struct Evaluation: Codable, Hashable, Sendable {
  /// The model that was evaluated.
  package var base: Digest
  package var weight: Double
  /// Number of devices behind a region's evaluation; `nil` means one.
  package var count: Int?
  package var metrics: [String: Double]

  package init(base: Digest, weight: Double, count: Int? = nil, metrics: [String: Double]) {
    self.base = base
    self.weight = weight
    self.count = count
    self.metrics = metrics
  }
}
