/// The distribution of values. Each figure is one of the values (nearest rank); none is interpolated.
package struct Percentiles: Codable, Hashable, Sendable {
  /// The number of values.
  package var count: Int
  package var p50: Double
  package var p95: Double
  package var p99: Double
  package var max: Double

  /// `nil` when there are no values.
  package init?(_ values: some Collection<Double>) {
    let sorted = values.sorted()
    guard let last = sorted.last else { return nil }
    func rank(_ percent: Int) -> Double { sorted[Swift.max(0, (sorted.count * percent + 99) / 100 - 1)] }
    (count, p50, p95, p99, max) = (sorted.count, rank(50), rank(95), rank(99), last)
  }
}
