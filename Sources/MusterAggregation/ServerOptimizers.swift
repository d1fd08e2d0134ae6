/// Moves the base by the whole difference: w ← w + D.
public struct Replace: ServerOptimizer {
  /// An optimizer without parameters or memory.
  public init() {}

  public func step(
    _ parameters: UnsafeMutableBufferPointer<Double>, by difference: UnsafeBufferPointer<Double>,
    memory: [UnsafeMutableBufferPointer<Double>], slice: CohortSlice
  ) {
    for index in 0..<slice.count { parameters[index] += difference[index] }
  }
}

/// Server momentum: v ← βv + D; w ← w + ηv (Hsu et al. 2019, FedAvgM). v starts at zero.
public struct Momentum: ServerOptimizer {
  /// η, the server's learning rate.
  public let rate: Double
  /// β, the share of the previous velocity that is kept.
  public let beta: Double

  /// Server momentum with rate η and decay β.
  ///
  /// - Parameters:
  ///   - rate: η > 0.
  ///   - beta: in 0 ..< 1.
  public init(rate: Double = 1, beta: Double = 0.9) {
    self.rate = rate
    self.beta = beta
  }

  public var memory: [String] { ["velocity"] }

  public func step(
    _ parameters: UnsafeMutableBufferPointer<Double>, by difference: UnsafeBufferPointer<Double>,
    memory: [UnsafeMutableBufferPointer<Double>], slice: CohortSlice
  ) {
    let v = memory[0]
    for i in 0..<slice.count {
      v[i] = beta * v[i] + difference[i]
      parameters[i] += rate * v[i]
    }
  }
}

/// Adaptive server optimizers: m ← β1 m + (1 − β1) D; v by the rule; w ← w + η m / (√v + τ) (Reddi et al. 2021).
///
/// As in the paper, bias is not corrected. m and v start at zero, where the paper also allows v to start at τ² or more.
public struct Adaptive: ServerOptimizer {
  /// How v follows D².
  public enum Rule: String, Sendable, CaseIterable {
    /// FedAdagrad: v ← v + D².
    case adagrad
    /// FedYogi: v ← v − (1 − β2) D² sign(v − D²).
    case yogi
    /// FedAdam: v ← β2 v + (1 − β2) D².
    case adam
  }

  /// How v follows D².
  public let rule: Rule
  /// η, the server's learning rate.
  public let rate: Double
  /// β1, the decay of m.
  public let beta1: Double
  /// β2, the decay of v; not used by Adagrad.
  public let beta2: Double
  /// τ, which limits how much the steps adapt: the larger, the less.
  public let tau: Double

  /// An adaptive server optimizer.
  ///
  /// - Parameters:
  ///   - rate: η > 0; `nil` takes 0.1 for Adagrad and 0.01 for the others.
  ///   - beta1: in 0 ..< 1; `nil` takes 0 for Adagrad, as in the paper, and 0.9 for the others.
  ///   - beta2: in 0 ..< 1.
  ///   - tau: τ > 0; the larger, the less the steps adapt.
  public init(_ rule: Rule, rate: Double? = nil, beta1: Double? = nil, beta2: Double = 0.99, tau: Double = 1e-3) {
    self.rule = rule
    self.rate = rate ?? Self.defaultRate(rule)
    self.beta1 = beta1 ?? Self.defaultBeta1(rule)
    self.beta2 = beta2
    self.tau = tau
  }

  static func defaultRate(_ rule: Rule) -> Double { rule == .adagrad ? 0.1 : 0.01 }
  static func defaultBeta1(_ rule: Rule) -> Double { rule == .adagrad ? 0 : 0.9 }

  public var memory: [String] { ["m", "v"] }

  public func step(
    _ parameters: UnsafeMutableBufferPointer<Double>, by difference: UnsafeBufferPointer<Double>,
    memory: [UnsafeMutableBufferPointer<Double>], slice: CohortSlice
  ) {
    let (m, v) = (memory[0], memory[1])
    switch rule {
    case .adagrad: for i in 0..<slice.count { v[i] += difference[i] * difference[i] }
    case .adam: for i in 0..<slice.count { v[i] = beta2 * v[i] + (1 - beta2) * (difference[i] * difference[i]) }
    case .yogi:
      for i in 0..<slice.count {
        let square = difference[i] * difference[i]
        let sign = v[i] > square ? 1.0 : v[i] < square ? -1 : 0
        v[i] -= (1 - beta2) * square * sign
      }
    }
    for i in 0..<slice.count {
      m[i] = beta1 * m[i] + (1 - beta1) * difference[i]
      parameters[i] += rate * m[i] / (v[i].squareRoot() + tau)
    }
  }
}
