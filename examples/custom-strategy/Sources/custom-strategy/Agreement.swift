import MusterAggregation

/// A combiner of one's own: the plain mean where enough updates move the same way, and no step where they do not.
///
/// It looks at each coordinate by itself, so it needs no pass over the whole cohort first, and runs slice by slice in bounded memory.
struct Agreement: Combiner, SliceCombiner {
  /// The share of the updates that must agree on the sign.
  let share: Double

  func problem(updates: Int) -> String? {
    updates < 2 ? "agreement needs at least 2 updates: one always agrees with itself" : nil
  }

  func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner { self }

  func combine(_ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>) {
    let n = Double(slice.updates.count)
    var one = [Double](repeating: 0, count: slice.count)
    var sum = one
    var signs = one
    one.withUnsafeMutableBufferPointer { one in
      for index in slice.updates.indices {
        slice.difference(of: index, into: one)
        for k in 0..<slice.count {
          sum[k] += one[k]
          signs[k] += one[k] > 0 ? 1 : one[k] < 0 ? -1 : 0
        }
      }
    }
    // Of n updates, a go one way and b the other: |a − b| = 2 · share · n − n where exactly that share agrees.
    for k in 0..<slice.count { difference[k] = signs[k].magnitude >= (2 * share - 1) * n ? sum[k] / n : 0 }
  }
}
