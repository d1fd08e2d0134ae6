internal import MusterTensors

/// The rules that sort the updates' values of each element.
struct SortedColumns: SliceCombiner {
  enum Rule: Sendable {
    /// The mean without the `dropping` lowest and highest values.
    case trimmedMean(dropping: Int)
    /// The mean of the `keeping` values nearest to the median; of two equally near values, the lower.
    case middleMean(keeping: Int)
  }

  let rule: Rule
  private let network: [UInt32]

  init(_ rule: Rule, updates count: Int) {
    self.rule = rule
    network =
      switch rule {
      case .trimmedMean(let drop): SortingNetwork.pairs(count: count, needed: drop..<count - drop)
      case .middleMean: SortingNetwork.pairs(count: count, needed: 0..<count)
      }
  }

  func combine(_ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>) {
    guard let rows = slice.rows(), let out = difference.baseAddress, let base = slice.base.baseAddress else { return }
    switch rule {
    case .trimmedMean(let drop):
      rows.block.trimmedMean(dropping: drop, sortedBy: network, scratch: slice.columnScratch(), into: out)
    case .middleMean(let keep):
      rows.block.middleMean(keeping: keep, sortedBy: network, scratch: slice.columnScratch(), into: out)
    }
    if !rows.areDifferences { for i in 0..<slice.count { out[i] -= base[i] } }
  }
}

/// The median of each element; of an even number of updates, the mean of the two in the middle (Yin et al. 2018). Weights are ignored.
public struct Median: Combiner {
  /// A median; it has no parameters.
  public init() {}

  public func prepare(_ cohort: inout Cohort) -> any SliceCombiner {
    let count = cohort.updates.count
    return SortedColumns(.trimmedMean(dropping: (count - 1) / 2), updates: count)
  }
}

/// The mean of each element without its ⌊βn⌋ lowest and ⌊βn⌋ highest values; 2⌊βn⌋ < n (Yin et al. 2018). Weights are ignored.
public struct TrimmedMean: Combiner {
  /// β, the share of values dropped at each end.
  public let beta: Double

  /// A mean that drops the share β at each end.
  ///
  /// - Parameter beta: in 0 ..< 0.5.
  public init(beta: Double = 0.1) { self.beta = beta }

  /// ⌊βn⌋ in decimal arithmetic: 0.29 · 100 gives 29, although the product in binary is 28.999….
  func drop(_ count: Int) -> Int { Int((beta * Double(count) + 1e-9).rounded(.down)) }

  public func problem(updates: Int) -> String? {
    guard beta >= 0, beta < 0.5 else { return "trimmedMean with beta = \(beta): beta must be at least 0 and less than 0.5" }
    let drop = drop(updates)
    guard 2 * drop >= updates else { return nil }
    return "trimmedMean with beta = \(beta) drops \(drop) values at each end, which leaves none of \(updates) updates (it needs 2⌊βn⌋ < n)"
  }

  public func prepare(_ cohort: inout Cohort) -> any SliceCombiner {
    let count = cohort.updates.count
    return SortedColumns(.trimmedMean(dropping: drop(count)), updates: count)
  }
}
