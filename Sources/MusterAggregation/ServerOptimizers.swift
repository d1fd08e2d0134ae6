/// The next model is the base moved by the whole difference: w ← w + D.
public struct Replace: ServerOptimizer {
  public init() {}

  public func step(
    _ parameters: UnsafeMutableBufferPointer<Double>, by difference: UnsafeBufferPointer<Double>,
    memory: [UnsafeMutableBufferPointer<Double>], slice: CohortSlice
  ) {
    for index in 0..<slice.count { parameters[index] += difference[index] }
  }
}

/// v ← βv + D; w ← w + ηv (Hsu et al. 2019, FedAvgM).
public struct Momentum: ServerOptimizer {
  /// η.
  public let rate: Double
  public let beta: Double

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

/// m ← β1 m + (1 − β1) D; v by the rule; w ← w + η m / (√v + τ) (Reddi et al. 2021). As there, no bias correction; m and v begin at zero,
/// where the paper also allows v to begin at τ² or more.
public struct Adaptive: ServerOptimizer {
  /// How v follows D².
  public enum Rule: String, Sendable, CaseIterable {
    /// v + D².
    case adagrad
    /// v − (1 − β2) D² sign(v − D²).
    case yogi
    /// β2 v + (1 − β2) D².
    case adam
  }

  public let rule: Rule
  /// η.
  public let rate: Double
  public let beta1: Double
  /// Of no meaning for Adagrad.
  public let beta2: Double
  public let tau: Double

  /// - Parameters:
  ///   - rate: η > 0.
  ///   - beta1: in 0 ..< 1; nil: 0.9, and 0 for Adagrad, as in the paper.
  ///   - beta2: in 0 ..< 1.
  ///   - tau: > 0: the larger, the less it adapts.
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
