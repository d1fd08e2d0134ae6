/// The mean of the differences, summed in `Double` in the order of the paths.
///
/// Weighted by samples: D = Σ p_i D_i with p_i = n_i / Σ n_i (McMahan et al. 2017, FedAvg); uniform: p_i = 1 / n.
public struct Mean: Combiner {
  /// What an update's share is.
  public enum Weighting: Sendable {
    case samples
    case uniform
  }

  public let weighting: Weighting

  public init(_ weighting: Weighting = .samples) { self.weighting = weighting }

  public func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner {
    let weights = cohort.updates.map { weighting == .samples ? $0.weight : 1 }
    let total = weights.reduce(0, +)
    guard total.isFinite else { throw .weightsOverflow }
    return Prepared(shares: weights.map { $0 / total })
  }

  private struct Prepared: SliceCombiner {
    let shares: [Double]

    func combine(_ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>) {
      for (index, share) in shares.enumerated() { slice.addDifference(of: index, times: share, to: difference) }
    }
  }
}

/// The next model is the base moved by the whole difference: w ← w + D.
public struct Replace: ServerOptimizer {
  public init() {}

  public func step(_ parameters: UnsafeMutableBufferPointer<Double>, by difference: UnsafeBufferPointer<Double>, slice: CohortSlice) {
    for index in 0..<slice.count { parameters[index] += difference[index] }
  }
}
