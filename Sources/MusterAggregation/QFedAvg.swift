internal import Glibc
internal import MusterSchema

/// A fairer mean: devices on which the model is still bad count more (Li et al. 2020, q-FFL).
///
/// With F_i the loss of w on node i before it trained, and Δ_i = L (w − w_i), L = 1/η:
/// w ← w − Σ F_i^q Δ_i / Σ (q F_i^(q−1) ‖Δ_i‖² + L F_i^q). Losses below 1e-10 count as 1e-10, as in the authors' code. The updates' weights
/// are ignored. Buffers get the uniform mean.
///
/// F_i is `initialLoss` in the update's `muster.metrics`. An update whose loss is missing, negative or not finite is refused.
public struct QFedAvg: Combiner, SelfVerifying {
  /// The fairness q ≥ 0: 0 gives the uniform mean, larger values are fairer.
  public let q: Double
  /// η > 0, the devices' learning rate: the task's `local.rate` unless the strategy gives another.
  public let rate: Double

  /// A fair mean with fairness q and the devices' learning rate η.
  public init(q: Double = 0.2, rate: Double = 0.1) {
    self.q = q
    self.rate = rate
  }

  public var readsAhead: Bool { true }

  public func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner {
    for update in cohort.updates {
      switch Self.initialLoss(update) {
      case .none: cohort.refuse(update.path, "its muster.metrics has no initialLoss, which qFedAvg needs")
      case .some(let loss) where !(loss.isFinite && loss >= 0):
        cohort.refuse(update.path, "its initialLoss is \(loss): qFedAvg needs a finite loss of 0 or more")
      case .some: break
      }
    }
    let norms = cohort.norms()
    guard !cohort.updates.isEmpty else { throw .nothingAccepted(cohort.refused) }
    let losses = cohort.updates.map { max(1e-10, Self.initialLoss($0) ?? 0) }
    // Only ratios matter: dividing by the largest loss keeps all powers in the range of `Double`.
    let largest = losses.max() ?? 1
    let l = 1 / rate
    var total = 0.0
    let powers = zip(losses, norms).map { loss, norm in
      let power = pow(loss / largest, q)
      total += q * power / loss * (l * norm) * (l * norm) + l * power
      return power
    }
    let count = Double(powers.count)
    return WeightedSum(shares: powers.map { l * $0 / total }, bufferShares: powers.map { _ in 1 / count })
  }

  private static func initialLoss(_ update: Update) -> Double? {
    guard let text = update.metadata["muster.metrics"] else { return nil }
    // Metrics that are not an object of numbers are treated like missing ones: `prepare` refuses the update.
    guard let metrics = try? JSON.decode([String: Double].self, from: text.utf8) else { return nil }
    return metrics["initialLoss"]
  }
}
