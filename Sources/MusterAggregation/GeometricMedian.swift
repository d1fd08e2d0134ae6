/// The point with the least weighted sum of distances to the updates, argmin_z Σ p_i ‖z − w_i‖.
///
/// Smoothed Weiszfeld steps from the mean, z ← Σ b_i w_i / Σ b_i with b_i = p_i / max(ν, ‖z − w_i‖) (Pillutla et al. 2022, RFA). The paper
/// makes a few steps; this stops when no share changes by more than 1e-12 of itself, or after `iterations` steps.
///
/// Every z is a mean of the updates, z = Σ a_j w_j, so its distances follow from the updates' inner products: with v_j = w_j − w_r,
/// ‖z − w_i‖² = v_i·v_i − 2 Σ_j a_j v_i·v_j + Σ_jk a_j a_k v_j·v_k. The updates are read for distances, for products and for the result,
/// however many steps there are. w_r is the update with the least sum of distances, so that an update far away from the others does not
/// cost them precision.
public struct GeometricMedian: Combiner, SelfVerifying {
  /// ν, the smallest distance that a step divides by; > 0.
  public let nu: Double
  /// Maximum number of steps.
  public let iterations: Int

  /// A geometric median with smoothing ν and at most `iterations` steps.
  public init(nu: Double = 1e-6, iterations: Int = 1000) {
    self.nu = nu
    self.iterations = iterations
  }

  public var readsAhead: Bool { true }

  public func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner {
    let distances = cohort.distances()
    guard !cohort.updates.isEmpty else { throw .nothingAccepted(cohort.refused) }
    let weights = try cohort.shares()
    let n = weights.count
    let sums = (0..<n).map { i in (0..<n).reduce(0) { $0 + weights[$1] * distances[i, $1].squareRoot() } }
    let middle = (0..<n).min { (sums[$0], $0) < (sums[$1], $1) } ?? 0
    return WeightedSum(shares: shares(of: weights, cohort.products(around: middle)))
  }

  /// The shares a_i of the updates in z, which sum to 1.
  ///
  /// - Parameter products: v_i·v_j for i ≤ j, at index i · n + j.
  func shares(of weights: [Double], _ products: [Double]) -> [Double] {
    let n = weights.count
    var products = products
    for i in 0..<n { for j in 0..<i { products[i * n + j] = products[j * n + i] } }
    var shares = weights
    var (toAll, next) = (weights, weights)
    for _ in 0..<iterations {
      var within = 0.0
      for i in 0..<n {
        var sum = 0.0
        for j in 0..<n { sum += shares[j] * products[i * n + j] }
        toAll[i] = sum
        within += shares[i] * sum
      }
      var total = 0.0
      for i in 0..<n {
        next[i] = weights[i] / max(nu, max(0, products[i * n + i] - 2 * toAll[i] + within).squareRoot())
        total += next[i]
      }
      // The change is relative, because the tiny share of an update far away matters, too.
      var change = 0.0
      for i in 0..<n {
        next[i] /= total
        change = max(change, (next[i] - shares[i]).magnitude / next[i])
      }
      swap(&shares, &next)
      if change < 1e-12 { break }
    }
    return shares
  }
}
