/// Shrinks an update whose norm is larger than C to norm C: D_i ← D_i · min(1, C / ‖D_i‖) (Sun et al. 2019). Norms are over all shared
/// tensors together.
public struct NormClip: Filter, SelfVerifying {
  /// C.
  public let norm: Double

  /// - Parameter norm: > 0.
  public init(norm: Double) { self.norm = norm }

  public var looksAtOthers: Bool { false }

  public func apply(to cohort: inout Cohort) {
    let norms = cohort.norms()
    for (update, own) in zip(cohort.updates, norms) where own > norm { cohort.scale(update.path, by: norm / own) }
  }
}

/// Refuses an update whose norm ‖D_i‖ is further than k · MAD from the round's median norm; MAD is the median of those distances (without
/// a factor for the normal distribution).
public struct OutlierFilter: Filter, SelfVerifying {
  public let k: Double

  /// - Parameter k: > 0.
  public init(k: Double = 3) { self.k = k }

  public func apply(to cohort: inout Cohort) {
    let norms = cohort.norms()
    guard !norms.isEmpty else { return }
    let middle = Self.median(norms)
    let spread = Self.median(norms.map { ($0 - middle).magnitude })
    // Equal norms that were rounded apart are no outliers.
    let limit = k * spread + 1e-12 * middle
    for (update, norm) in zip(cohort.updates, norms) where (norm - middle).magnitude > limit {
      cohort.refuse(
        update.path, "its norm \(norm) is an outlier: further than \(k) · MAD = \(k * spread) from the round's median norm \(middle)")
    }
  }

  static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let (low, high) = (sorted[(sorted.count - 1) / 2], sorted[sorted.count / 2])
    return low == high ? low : low / 2 + high / 2
  }
}
