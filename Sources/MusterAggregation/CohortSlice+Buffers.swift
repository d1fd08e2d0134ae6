// Buffers: numbers that are averaged over updates and replaced.
extension CohortSlice {
  /// What replaces the base's numbers: base + difference, brought into the range of what the updates say, so that no rounding and no rule
  /// makes a variance negative of which every update says that it is not.
  ///
  /// - Parameters:
  ///   - difference: a mean over the updates.
  ///   - low: space for `count` elements, like `high` and `row`.
  ///   - result: gets `count` elements.
  func replace(
    by difference: UnsafeMutableBufferPointer<Double>, low: UnsafeMutableBufferPointer<Double>,
    high: UnsafeMutableBufferPointer<Double>, row: UnsafeMutableBufferPointer<Double>, into result: UnsafeMutableBufferPointer<Double>
  ) {
    for index in updates.indices {
      self.difference(of: index, into: row)
      for i in 0..<count {
        low[i] = index == 0 ? row[i] : min(low[i], row[i])
        high[i] = index == 0 ? row[i] : max(high[i], row[i])
      }
    }
    let base = base
    for i in 0..<count { result[i] = min(max(base[i] + difference[i], base[i] + low[i]), base[i] + high[i]) }
  }
}
