internal import CKernels

/// Rows of I8 numbers with their scales: the same run of elements of many updates. Rows may be unaligned.
package struct EncodedRows {
  let rows: UnsafeBufferPointer<UnsafeRawPointer?>
  let scales: [[Float]]
  let channel: Int
  let first: Int
  let count: Int
  let factors: UnsafeBufferPointer<Double>

  /// - Parameters:
  ///   - scales: the scales of each row's whole tensor, one for every `channel` elements.
  ///   - first: index in the tensor of the rows' first element.
  ///   - count: the number of elements of each row.
  ///   - factors: the factor of each row in the sum.
  package init(
    rows: UnsafeBufferPointer<UnsafeRawPointer?>, scales: [[Float]], channel: Int, first: Int, count: Int,
    factors: UnsafeBufferPointer<Double>
  ) {
    precondition(scales.count == rows.count && factors.count == rows.count && count > 0, "rows, scales and factors differ in number")
    precondition(scales.allSatisfy { $0.count > (first + count - 1) / channel }, "the scales do not reach the last element")
    self.rows = rows
    self.scales = scales
    self.channel = channel
    self.first = first
    self.count = count
    self.factors = factors
  }

  /// An upper bound of all magnitudes: 128 times the largest scale.
  package var largestMagnitude: Double {
    let places = first / channel...(first + count - 1) / channel
    return 128 * Double(scales.reduce(0) { max($0, $1[places].max() ?? 0) })
  }

  /// Adds factor · row to `sum`, row by row.
  package func add(to sum: UnsafeMutablePointer<Double>) {
    withScales {
      muster_add_int8(rows.baseAddress, $0, factors.baseAddress, rows.count, first, channel, sum, count)
    }
  }

  /// Writes base + the sum of `add`, rounded to `Float` once.
  ///
  /// - Parameters:
  ///   - base: `count` floats, unaligned.
  ///   - out: space for `count` floats.
  /// - Returns: `false` if a base + row could leave the range of `Float` or the result does; then `out` is unusable.
  package func step(from base: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer) -> Bool {
    precondition(base.count >= count * 4 && out.count >= count * 4, "the buffers are too small for a row of \(count)")
    return withScales {
      muster_step_int8(
        rows.baseAddress, $0, factors.baseAddress, rows.count, first, channel, base.baseAddress, out.baseAddress, count) == 0
    }
  }

  /// The largest magnitude; meaningless if the row holds a NaN.
  package static func magnitude(_ row: UnsafeBufferPointer<Double>) -> Double { muster_magnitude_f64(row.baseAddress, row.count) }

  /// Copies the scales of the rows' elements into one block, row by row, so that one array is held during the call, not many.
  private func withScales<Result>(_ body: (UnsafePointer<Float>?) -> Result) -> Result {
    let places = first / channel...(first + count - 1) / channel
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: places.count * rows.count) { all in
      for (row, own) in scales.enumerated() {
        for (offset, place) in places.enumerated() { all[row * places.count + offset] = own[place] }
      }
      return body(UnsafePointer(all.baseAddress))
    }
  }
}
