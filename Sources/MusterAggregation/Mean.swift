/// The mean of the differences, summed in `Double` in the order of the paths.
///
/// Weighted by samples: D = Σ p_i D_i with p_i = n_i / Σ n_i (McMahan et al. 2017, FedAvg). Uniform: p_i = 1 / n.
public struct Mean: Combiner {
  /// How much each update counts.
  public enum Weighting: Sendable {
    /// p_i = n_i / Σ n_i.
    case samples
    /// p_i = 1 / n.
    case uniform
  }

  /// How much each update counts.
  public let weighting: Weighting

  /// A mean with this weighting.
  public init(_ weighting: Weighting = .samples) { self.weighting = weighting }

  public var composition: Composition? { weighting == .samples ? .weight : .count }

  public func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner {
    switch weighting {
    case .samples: WeightedSum(shares: try cohort.shares())
    case .uniform: WeightedSum(shares: cohort.updates.map { _ in 1 / Double(cohort.updates.count) })
    }
  }
}

/// Σ share_i D_i.
struct WeightedSum: SliceCombiner {
  /// The updates' shares, in their order.
  let shares: [Double]
  /// Shares for the mean of buffers. They differ where a rule's shares do not sum to 1.
  let bufferShares: [Double]

  init(shares: [Double], bufferShares: [Double]? = nil) {
    self.shares = shares
    self.bufferShares = bufferShares ?? shares
  }

  func combine(_ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>) { sum(shares, slice, into: difference) }

  func combineBuffer(_ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>) {
    sum(bufferShares, slice, into: difference)
  }

  private func sum(_ shares: [Double], _ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>) {
    if slice.weightedSum(shares, into: difference) { return }
    if slice.addScaled(shares, to: difference) { return }
    for (index, share) in shares.enumerated() { slice.addDifference(of: index, times: share, to: difference) }
  }
}

extension Cohort {
  /// p_i = n_i / Σ n_i.
  func shares() throws(AggregationError) -> [Double] {
    let total = updates.reduce(0) { $0 + $1.weight }
    if total.isFinite { return updates.map { $0.weight / total } }
    // Each weight is finite, but their sum is not: weights scaled to at most 1 give the same shares.
    let largest = updates.reduce(0) { max($0, $1.weight) }
    let scaled = updates.map { $0.weight / largest }
    let sum = scaled.reduce(0, +)
    guard sum.isFinite, sum > 0 else { throw .weightsOverflow }
    return scaled.map { $0 / sum }
  }
}
