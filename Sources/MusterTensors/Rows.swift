internal import CKernels

/// Loops over rows of numbers that are compiled for several processor generations; see `CKernels.h`.
package enum Rows {
  /// Adds `factor` (row − base) to `sum`.
  ///
  /// - Returns: whether all numbers of the row are finite; if not, `sum` is unusable.
  package static func addDifference(
    ofFloats row: UnsafeRawBufferPointer, base: UnsafePointer<Double>, times factor: Double, to sum: UnsafeMutablePointer<Double>
  ) -> Bool {
    muster_add_difference_f32(row.baseAddress, base, factor, sum, row.count / 4) == 0
  }

  /// Σ (row − base)².
  package static func squaredDistance(ofFloats row: UnsafeRawBufferPointer, from base: UnsafePointer<Double>) -> Double {
    muster_squared_distance_f32(row.baseAddress, base, row.count / 4)
  }

  /// Σ row².
  package static func squares(_ row: UnsafeBufferPointer<Double>) -> Double { muster_squares_f64(row.baseAddress, row.count) }

  /// Whether a row of `Float` holds an infinity or a NaN.
  package static func hasNonFiniteFloats(_ row: UnsafeRawBufferPointer) -> Bool {
    muster_has_nonfinite_f32(row.baseAddress, row.count / 4) != 0
  }
}

/// Rows of equal length: the same run of elements of many updates.
package struct RowBlock {
  /// The type of the rows' elements, which may be unaligned.
  package enum Element: Sendable {
    case float
    case double
    /// IEEE binary16, for weighted sums only.
    case half
    /// bfloat16, for weighted sums only.
    case brain

    package var byteSize: Int {
      switch self {
      case .double: 8
      case .float: 4
      case .half, .brain: 2
      }
    }

    /// Whether weighted sums take such rows on this processor.
    package var isSummed: Bool {
      switch self {
      case .float, .brain: true
      case .half: muster_adds_halves() != 0
      case .double: false
      }
    }

    fileprivate var code: Int32 {
      switch self {
      case .half: Int32(MUSTER_HALF)
      case .brain: Int32(MUSTER_BRAIN)
      case .float, .double: Int32(MUSTER_FLOAT)
      }
    }
  }

  package let element: Element
  package let rows: UnsafeBufferPointer<UnsafeRawPointer?>
  /// The number of elements of each row.
  package let count: Int

  package init(_ element: Element, rows: UnsafeBufferPointer<UnsafeRawPointer?>, count: Int) {
    self.element = element
    self.rows = rows
    self.count = count
  }

  /// Size of the scratch space, in bytes, that the rules on sorted columns need for this number of rows.
  package static func scratchBytes(rows: Int) -> Int { 64 * rows * MemoryLayout<Double>.size }

  /// Writes Σ weight_i (row_i − base), or Σ weight_i row_i for differences, adding row by row. Needs rows that ``Element/isSummed``.
  ///
  /// - Returns: whether all sums are finite and, for differences, all base + row_i are finite floats.
  package func weightedSum(
    _ weights: UnsafePointer<Double>, areDifferences: Bool, base: UnsafePointer<Double>, into sum: UnsafeMutablePointer<Double>
  ) -> Bool {
    precondition(element.isSummed, "a weighted sum of rows of \(element) is not supported")
    return muster_weighted_sum(rows.baseAddress, rows.count, count, element.code, weights, areDifferences ? 1 : 0, base, sum) == 0
  }

  /// Writes base + the sum of `weightedSum`, rounded to `Float` once.
  ///
  /// - Parameters:
  ///   - base: `count` floats, unaligned.
  ///   - out: space for `count` floats.
  /// - Returns: whether everything is finite: the sums and rows as in `weightedSum`, and the result.
  package func weightedStep(
    _ weights: UnsafePointer<Double>, areDifferences: Bool, base: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer
  ) -> Bool {
    precondition(element.isSummed, "a weighted sum of rows of \(element) is not supported")
    precondition(base.count >= count * 4 && out.count >= count * 4, "the buffers are too small for a row of \(count)")
    return muster_weighted_step(
      rows.baseAddress, rows.count, count, element.code, weights, areDifferences ? 1 : 0, base.baseAddress, out.baseAddress) == 0
  }

  /// Adds ‖row i − row j‖² to element i · n + j, for all i < j. Rows of `Float` are summed in `Float` in blocks of 256.
  package func addSquaredDistances(to distances: UnsafeMutableBufferPointer<Double>) {
    precondition(
      distances.count >= rows.count * rows.count, "\(distances.count) places are too few for the distances of \(rows.count) rows")
    switch element {
    case .float: muster_distances_f32(rows.baseAddress, rows.count, count, distances.baseAddress)
    case .double: muster_distances_f64(rows.baseAddress, rows.count, count, distances.baseAddress)
    case .half, .brain: preconditionFailure("distances of rows of \(element) are not supported")
    }
  }

  /// Adds (row i − row r) · (row j − row r) to element i · n + j, for all i ≤ j, where r is the reference. Needs rows of `Double`.
  package func addProducts(around reference: Int, to products: UnsafeMutableBufferPointer<Double>) {
    precondition(element == .double, "products of rows of \(element) are not supported")
    precondition(products.count >= rows.count * rows.count, "\(products.count) places are too few for the products of \(rows.count) rows")
    muster_products_f64(rows.baseAddress, rows.count, reference, count, products.baseAddress)
  }

  /// Writes for each column the mean without the `drop` lowest and `drop` highest values.
  package func trimmedMean(
    dropping drop: Int, sortedBy network: [UInt32], scratch: UnsafeMutableRawPointer, into out: UnsafeMutablePointer<Double>
  ) {
    switch element {
    case .float: muster_trimmed_mean_f32(rows.baseAddress, rows.count, count, network, network.count / 2, drop, scratch, out)
    case .double: muster_trimmed_mean_f64(rows.baseAddress, rows.count, count, network, network.count / 2, drop, scratch, out)
    case .half, .brain: preconditionFailure("a trimmed mean of rows of \(element) is not supported")
    }
  }

  /// Writes for each column the mean of the `keep` values nearest to its median.
  package func middleMean(
    keeping keep: Int, sortedBy network: [UInt32], scratch: UnsafeMutableRawPointer, into out: UnsafeMutablePointer<Double>
  ) {
    switch element {
    case .float: muster_middle_mean_f32(rows.baseAddress, rows.count, count, network, network.count / 2, keep, scratch, out)
    case .double: muster_middle_mean_f64(rows.baseAddress, rows.count, count, network, network.count / 2, keep, scratch, out)
    case .half, .brain: preconditionFailure("a middle mean of rows of \(element) is not supported")
    }
  }
}
