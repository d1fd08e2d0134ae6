/// Scales an update whose norm exceeds C down to norm C: D_i ← D_i · min(1, C / ‖D_i‖) (Sun et al. 2019).
///
/// The norm covers all shared parameters together; buffers are neither counted nor scaled.
public struct NormClip: Filter, SelfVerifying {
  /// C, the largest norm that is left as it is.
  public let norm: Double

  /// Clips to the norm C.
  ///
  /// - Parameter norm: C > 0.
  public init(norm: Double) { self.norm = norm }

  public var looksAtOthers: Bool { false }

  public func apply(to cohort: inout Cohort) {
    let norms = cohort.norms()
    for (update, own) in zip(cohort.updates, norms) where own > norm { cohort.scale(update.path, by: norm / own) }
  }
}

/// Refuses an update whose norm ‖D_i‖ differs from the round's median norm by more than k · MAD.
///
/// MAD is the median of those differences, without the factor for the normal distribution. Norms cover parameters, not buffers.
public struct OutlierFilter: Filter, SelfVerifying {
  /// The factor k.
  public let k: Double

  /// Refuses norms further than k · MAD from the median.
  ///
  /// - Parameter k: > 0.
  public init(k: Double = 3) { self.k = k }

  public func apply(to cohort: inout Cohort) {
    let norms = cohort.norms()
    guard !norms.isEmpty else { return }
    let middle = Self.median(norms)
    let spread = Self.median(norms.map { ($0 - middle).magnitude })
    // Norms that are equal except for rounding are not outliers.
    let limit = k * spread + 1e-12 * middle
    for (update, norm) in zip(cohort.updates, norms) where (norm - middle).magnitude > limit {
      cohort.refuse(
        update.path,
        "its norm \(norm) is an outlier: it differs from the round's median norm \(middle) by more than \(k) · MAD = \(k * spread)")
    }
  }

  static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let (low, high) = (sorted[(sorted.count - 1) / 2], sorted[sorted.count / 2])
    return low == high ? low : low / 2 + high / 2
  }
}
