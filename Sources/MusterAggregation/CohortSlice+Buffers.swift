// Buffers are averaged over the updates, and replace the base's values.
extension CohortSlice {
  /// The new values of a buffer: base + difference, clamped to the range of the updates' values. Without that, rounding or a rule could
  /// make a variance negative although no update says so.
  ///
  /// - Parameters:
  ///   - difference: a mean over the updates.
  ///   - low: space for `count` elements, as are `high` and `row`.
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
