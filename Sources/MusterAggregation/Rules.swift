internal import MusterSchema

/// The filters, combiners and server optimizers that a strategy can name: the built-in ones, and those that a program adds.
public struct Rules: Sendable {
  /// Makes a step from the parameters that a task gives it.
  public typealias Make<Step> = @Sendable (inout RuleParameters) throws(AggregationError) -> Step

  private(set) var filters: [String: Make<any Filter>]
  private(set) var combiners: [String: Make<any Combiner>]
  private(set) var optimizers: [String: Make<any ServerOptimizer>]

  /// The built-in steps.
  public init() { (filters, combiners, optimizers) = (Self.ownFilters, Self.ownCombiners, Self.ownOptimizers) }

  /// Adds a filter, or replaces the one of this name.
  public mutating func add(filter name: String, _ make: @escaping Make<any Filter>) { filters[name] = make }
  /// Adds a combiner, or replaces the one of this name.
  public mutating func add(combiner name: String, _ make: @escaping Make<any Combiner>) { combiners[name] = make }
  /// Adds a server optimizer, or replaces the one of this name.
  public mutating func add(optimizer name: String, _ make: @escaping Make<any ServerOptimizer>) { optimizers[name] = make }

  /// Adds a combiner that runs an external program; see `ExternalRule`. It accepts any parameters and hands them to the program.
  public mutating func add(
    external name: String, command: [String], folder: String, timeout: Duration = .seconds(600),
    confinement: ExternalRule.Confinement = .init()
  ) {
    add(combiner: name) { (parameters) throws(AggregationError) in
      ExternalRule(
        name: name, command: command, parameters: try parameters.rest(), folder: folder, timeout: timeout, confinement: confinement)
    }
  }

  func filter(_ component: StrategySpecification.Component, localRate: Double?) throws(AggregationError) -> any Filter {
    try make(component, "filter", filters, localRate)
  }

  func combiner(_ component: StrategySpecification.Component, localRate: Double?) throws(AggregationError) -> any Combiner {
    try make(component, "combiner", combiners, localRate)
  }

  func optimizer(_ component: StrategySpecification.Component, localRate: Double?) throws(AggregationError) -> any ServerOptimizer {
    try make(component, "optimizer", optimizers, localRate)
  }

  private func make<Step>(
    _ component: StrategySpecification.Component, _ kind: String, _ table: [String: Make<Step>], _ localRate: Double?
  ) throws(AggregationError) -> Step {
    guard let entry = Self.find(component.name, in: table) else {
      throw .unknownComponent(kind: kind, name: component.name, known: table.keys.sorted())
    }
    var parameters = RuleParameters(of: entry.key, component.parameters, localRate: localRate)
    let step = try entry.value(&parameters)
    try parameters.finish()
    return step
  }

  /// Finds an entry regardless of case, hyphens and underscores: `trimmedMean`, `trimmedmean`, `trimmed-mean`.
  static func find<Value>(_ name: String, in table: [String: Value]) -> (key: String, value: Value)? {
    if let value = table[name] { return (name, value) }
    let plain = plain(name)
    return table.first { self.plain($0.key) == plain }
  }

  private static func plain(_ name: String) -> String { name.lowercased().filter { $0 != "-" && $0 != "_" } }

  // MARK: - Built-in steps

  private static let ownFilters: [String: Make<any Filter>] = [
    "clip": { (p) throws(AggregationError) in NormClip(norm: try p.number("norm", .positive)) },
    "outliers": { (p) throws(AggregationError) in OutlierFilter(k: try p.number("k", .positive, else: 3)) },
  ]

  private static let ownCombiners: [String: Make<any Combiner>] = [
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
      QFedAvg(q: try p.number("q", .notNegative, else: 0.2), rate: try p.number("rate", .positive, else: p.localRate ?? 0.1))
    },
  ]

  private static let ownOptimizers: [String: Make<any ServerOptimizer>] = [
    "replace": { (_) throws(AggregationError) in Replace() },
    "momentum": { (p) throws(AggregationError) in
      Momentum(rate: try p.number("rate", .positive, else: 1), beta: try p.number("beta", .share, else: 0.9))
    },
    "adagrad": { (p) throws(AggregationError) in try adaptive(.adagrad, &p) },
    "yogi": { (p) throws(AggregationError) in try adaptive(.yogi, &p) },
    "adam": { (p) throws(AggregationError) in try adaptive(.adam, &p) },
  ]

  private static func adaptive(_ rule: Adaptive.Rule, _ p: inout RuleParameters) throws(AggregationError) -> Adaptive {
    Adaptive(
      rule, rate: try p.number("rate", .positive, else: Adaptive.defaultRate(rule)),
      beta1: try p.number("beta1", .share, else: Adaptive.defaultBeta1(rule)),
      beta2: rule == .adagrad ? 0 : try p.number("beta2", .share, else: 0.99), tau: try p.number("tau", .positive, else: 1e-3))
  }
}
