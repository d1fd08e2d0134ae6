public import MusterSchema

/// How a round's updates become the next model: filters → combiner → server optimizer, freely combined.
public struct Strategy: Sendable {
  public var filters: [any Filter]
  public var combiner: any Combiner
  public var optimizer: any ServerOptimizer

  public init(filters: [any Filter] = [], combiner: any Combiner, optimizer: any ServerOptimizer = Replace()) {
    self.filters = filters
    self.combiner = combiner
    self.optimizer = optimizer
  }

  /// Well-known combinations by name, and every combiner by its own with replace; parameters have their defaults.
  ///
  /// | name | means |
  /// | --- | --- |
  /// | `fedavg` | mean |
  /// | `fedavgm` | mean + momentum |
  /// | `fedadagrad`, `fedyogi`, `fedadam` | mean + adagrad, yogi, adam |
  /// | `rfa` | geometricMedian |
  ///
  /// - Parameter localRate: the learning rate of the task's devices, which `qFedAvg` follows; nil when no task asks.
  /// - Throws: `unknownStrategy` with the known names.
  public init(named name: String, rules: Rules = Rules(), localRate: Double? = nil) throws(AggregationError) {
    let (combiner, optimizer) = Rules.find(name, in: Self.aliases)?.value ?? (name, "replace")
    guard Rules.find(combiner, in: rules.combiners) != nil else {
      throw .unknownStrategy(name, known: (Array(Self.aliases.keys) + rules.combiners.keys).sorted())
    }
    try self.init(.composed(filters: [], combiner: .init(combiner), optimizer: .init(optimizer)), rules: rules, localRate: localRate)
  }

  /// What a task asks for.
  ///
  /// - Parameter localRate: the task's `local.rate`, which `qFedAvg` follows; nil when no task asks.
  /// - Throws: `unknownStrategy`, `unknownComponent`, `unknownParameter`, `missingParameter`, `invalidParameter`.
  public init(
    _ specification: StrategySpecification, rules: Rules = Rules(), localRate: Double? = nil
  ) throws(AggregationError) {
    switch specification {
    case .named(let name): try self.init(named: name, rules: rules, localRate: localRate)
    case .composed(let filters, let combiner, let optimizer):
      var made: [any Filter] = []
      for filter in filters { made.append(try rules.filter(filter, localRate: localRate)) }
      self.init(
        filters: made, combiner: try rules.combiner(combiner, localRate: localRate),
        optimizer: try rules.optimizer(optimizer, localRate: localRate))
    }
  }

  private static let aliases: [String: (combiner: String, optimizer: String)] = [
    "fedavg": ("mean", "replace"), "fedavgm": ("mean", "momentum"), "fedadagrad": ("mean", "adagrad"), "fedyogi": ("mean", "yogi"),
    "fedadam": ("mean", "adam"), "rfa": ("geometricMedian", "replace"),
  ]
}

// MARK: - What a task must allow for

extension Strategy {
  /// Why rounds with as few updates as the task allows could not be aggregated, in sentences; empty when all is well.
  ///
  /// A filter may refuse updates and leave fewer: that shows only in the round.
  ///
  /// - Parameter minimumCohort: the number of updates that a round needs at least, > 0.
  public func problems(minimumCohort: Int) -> [String] {
    combiner.problem(updates: minimumCohort).map { ["\($0), and the task's smallest cohort is \(minimumCohort)"] } ?? []
  }

  /// Whether regions may aggregate their devices' updates first.
  public var isDecomposable: Bool { whyNotDecomposable == nil }

  /// Why regions may not aggregate first, in a sentence; nil when they may.
  public var whyNotDecomposable: String? {
    if filters.contains(where: \.looksAtOthers) {
      return "one of its filters compares the updates of the whole cohort, of which a region sees a part: upload to central"
    }
    guard combiner.composition == nil else { return nil }
    return "its combiner needs the updates of the whole cohort, of which a region sees a part: upload to central"
  }

  /// The work of a region and of central, whose result is that of the whole strategy up to rounding: the filters and the combiner at the
  /// region, a weighted mean and the server optimizer at central. What a region's result weighs there tells `weight(of:)`.
  ///
  /// - Returns: nil when regions may not aggregate.
  public var decomposed: (region: Strategy, central: Strategy)? {
    guard isDecomposable else { return nil }
    return (Strategy(filters: filters, combiner: combiner), Strategy(combiner: Mean(.samples), optimizer: optimizer))
  }

  /// The weight of a region's result at central.
  public func weight(of result: AggregationResult) -> Double {
    combiner.composition == .count ? Double(result.accepted.count) : result.weight
  }
}
