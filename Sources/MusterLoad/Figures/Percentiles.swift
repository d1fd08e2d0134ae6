/// How values are spread: each figure is one of the values (nearest rank), so none is invented between two of them.
package struct Percentiles: Codable, Hashable, Sendable {
  /// How many values there were.
  package var count: Int
  package var p50: Double
  package var p95: Double
  package var p99: Double
  package var max: Double

  /// Nil without values.
  package init?(_ values: some Collection<Double>) {
    let sorted = values.sorted()
    guard let last = sorted.last else { return nil }
    func rank(_ percent: Int) -> Double { sorted[Swift.max(0, (sorted.count * percent + 99) / 100 - 1)] }
    (count, p50, p95, p99, max) = (sorted.count, rank(50), rank(95), rank(99), last)
  }
}
