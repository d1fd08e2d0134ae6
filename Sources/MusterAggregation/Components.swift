internal import MusterSchema

/// The steps that a task can name, and their parameters.
enum Components {
  typealias Table<Step> = [String: @Sendable (inout Parameters) throws(AggregationError) -> Step]

  static let filters: Table<any Filter> = [
    "clip": { (p) throws(AggregationError) in NormClip(norm: try p.number("norm", .positive)) },
    "outliers": { (p) throws(AggregationError) in OutlierFilter(k: try p.number("k", .positive, else: 3)) },
  ]

  static let combiners: Table<any Combiner> = [
    "mean": { (_) throws(AggregationError) in Mean(.samples) },
    "uniform": { (_) throws(AggregationError) in Mean(.uniform) },
    "median": { (_) throws(AggregationError) in Median() },
    "trimmedMean": { (p) throws(AggregationError) in TrimmedMean(beta: try p.number("beta", .belowHalf, else: 0.1)) },
    "krum": { (p) throws(AggregationError) in Krum(f: try p.count("f", from: 0, else: 1)) },
    "multiKrum": { (p) throws(AggregationError) in Krum(f: try p.count("f", from: 0, else: 1), choosing: try p.count("m", from: 1)) },
    "bulyan": { (p) throws(AggregationError) in Bulyan(f: try p.count("f", from: 0, else: 1)) },
    "geometricMedian": { (p) throws(AggregationError) in
      GeometricMedian(nu: try p.number("nu", .positive, else: 1e-6), iterations: try p.count("iterations", from: 1, else: 1000))
    },
    "qFedAvg": { (p) throws(AggregationError) in
      QFedAvg(q: try p.number("q", .notNegative, else: 0.2), rate: try p.number("rate", .positive, else: 0.1))
    },
  ]

  static let optimizers: Table<any ServerOptimizer> = [
    "replace": { (_) throws(AggregationError) in Replace() },
    "momentum": { (p) throws(AggregationError) in
      Momentum(rate: try p.number("rate", .positive, else: 1), beta: try p.number("beta", .share, else: 0.9))
    },
    "adagrad": { (p) throws(AggregationError) in try adaptive(.adagrad, &p) },
    "yogi": { (p) throws(AggregationError) in try adaptive(.yogi, &p) },
    "adam": { (p) throws(AggregationError) in try adaptive(.adam, &p) },
  ]

  private static func adaptive(_ rule: Adaptive.Rule, _ p: inout Parameters) throws(AggregationError) -> Adaptive {
    Adaptive(
      rule, rate: try p.number("rate", .positive, else: Adaptive.defaultRate(rule)),
      beta1: try p.number("beta1", .share, else: Adaptive.defaultBeta1(rule)),
      beta2: rule == .adagrad ? 0 : try p.number("beta2", .share, else: 0.99), tau: try p.number("tau", .positive, else: 1e-3))
  }

  /// Names are the same in any spelling: `trimmedMean`, `trimmedmean`, `trimmed-mean`.
  static func find<Value>(_ name: String, in table: [String: Value]) -> (key: String, value: Value)? {
    if let value = table[name] { return (name, value) }
    let plain = plain(name)
    return table.first { self.plain($0.key) == plain }
  }

  private static func plain(_ name: String) -> String { name.lowercased().filter { $0 != "-" && $0 != "_" } }

  static func make<Step>(
    _ component: StrategySpecification.Component, of kind: String, from table: Table<Step>
  ) throws(AggregationError) -> Step {
    guard let entry = find(component.name, in: table) else {
      throw .unknownComponent(kind: kind, name: component.name, known: table.keys.sorted())
    }
    var parameters = Parameters(StrategySpecification.Component(entry.key, component.parameters))
    let step = try entry.value(&parameters)
    try parameters.finish()
    return step
  }

  /// Takes a step's parameters one by one, and knows in the end which nobody asked for. The short form's single number stands for the
  /// first that is asked for.
  struct Parameters {
    /// What a number must be.
    enum Condition: String {
      case positive = "more than 0"
      case notNegative = "0 or more"
      case share = "0 or more and less than 1"
      case belowHalf = "0 or more and less than 0.5"

      func holds(_ value: Double) -> Bool {
        switch self {
        case .positive: value > 0
        case .notNegative: value >= 0
        case .share: value >= 0 && value < 1
        case .belowHalf: value >= 0 && value < 0.5
        }
      }
    }

    private let component: String
    private var left: [String: Double]
    private var known: [String] = []

    init(_ component: StrategySpecification.Component) {
      self.component = component.name
      left = component.parameters
    }

    private mutating func take(_ name: String) -> Double? {
      known.append(name)
      if let value = left.removeValue(forKey: name) { return value }
      return known.count == 1 ? left.removeValue(forKey: "value") : nil
    }

    mutating func number(_ name: String, _ condition: Condition, else fallback: Double? = nil) throws(AggregationError) -> Double {
      guard let value = take(name) ?? fallback else { throw .missingParameter(component: component, parameter: name) }
      guard value.isFinite, condition.holds(value) else {
        throw .invalidParameter(component: component, parameter: name, value: value, expected: condition.rawValue)
      }
      return value
    }

    mutating func count(_ name: String, from least: Int) throws(AggregationError) -> Int? {
      guard let value = take(name) else { return nil }
      guard let count = Int(exactly: value), count >= least, count <= 1_000_000 else {
        throw .invalidParameter(component: component, parameter: name, value: value, expected: "a whole number, \(least) or more")
      }
      return count
    }

    mutating func count(_ name: String, from least: Int, else fallback: Int) throws(AggregationError) -> Int {
      try count(name, from: least) ?? fallback
    }

    func finish() throws(AggregationError) {
      if let parameter = left.keys.min() { throw .unknownParameter(component: component, parameter: parameter, known: known) }
    }
  }
}
