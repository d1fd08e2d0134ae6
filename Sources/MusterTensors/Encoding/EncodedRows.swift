internal import CKernels

/// Rows of I8 below each other, with their scales: some neighbouring elements of many updates. They may lie at any address.
package struct EncodedRows {
  let rows: UnsafeBufferPointer<UnsafeRawPointer?>
  let scales: [[Float]]
  let channel: Int
  let first: Int
  let count: Int
  let factors: UnsafeBufferPointer<Double>

  /// - Parameters:
  ///   - scales: of each row's whole tensor, one for every `channel` elements.
  ///   - first: the number of the first element in its tensor.
  ///   - count: the length of each row.
  ///   - factors: what each row is multiplied by when it is added.
  package init(
    rows: UnsafeBufferPointer<UnsafeRawPointer?>, scales: [[Float]], channel: Int, first: Int, count: Int,
    factors: UnsafeBufferPointer<Double>
  ) {
    precondition(scales.count == rows.count && factors.count == rows.count && count > 0, "rows, scales and factors of another number")
    precondition(scales.allSatisfy { $0.count > (first + count - 1) / channel }, "scales that do not reach the last element")
    self.rows = rows
    self.scales = scales
    self.channel = channel
    self.first = first
    self.count = count
    self.factors = factors
  }

  /// More than any number's magnitude.
  package var largestMagnitude: Double {
    let places = first / channel...(first + count - 1) / channel
    return 128 * Double(scales.reduce(0) { max($0, $1[places].max() ?? 0) })
  }

  /// sum += factor row, row by row.
  package func add(to sum: UnsafeMutablePointer<Double>) {
    withScales {
      muster_add_int8(rows.baseAddress, $0, factors.baseAddress, rows.count, first, channel, sum, count)
    }
  }

  /// base + that sum, rounded to `Float` once.
  ///
  /// - Parameters:
  ///   - base: floats, unaligned.
  ///   - out: as many.
  /// - Returns: false when a difference could leave the range of `Float`, or the result does: then `out` is of no use.
  package func step(from base: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer) -> Bool {
    precondition(base.count >= count * 4 && out.count >= count * 4, "too little room for a row of \(count)")
    return withScales {
      muster_step_int8(
        rows.baseAddress, $0, factors.baseAddress, rows.count, first, channel, base.baseAddress, out.baseAddress, count) == 0
    }
  }

  /// The largest magnitude; of no use when there is a NaN.
  package static func magnitude(_ row: UnsafeBufferPointer<Double>) -> Double { muster_magnitude_f64(row.baseAddress, row.count) }

  /// All scales that the rows meet, row by row in one piece, in place of arrays that would have to be held one by one.
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
