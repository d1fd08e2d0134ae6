public import MusterSchema

/// The way from a round's updates to the next model: filters → combiner → server optimizer, in any combination.
public struct Strategy: Sendable {
  /// The filters, applied in this order.
  public var filters: [any Filter]
  /// The combiner.
  public var combiner: any Combiner
  /// The server optimizer.
  public var optimizer: any ServerOptimizer

  /// A strategy of these steps.
  public init(filters: [any Filter] = [], combiner: any Combiner, optimizer: any ServerOptimizer = Replace()) {
    self.filters = filters
    self.combiner = combiner
    self.optimizer = optimizer
  }

  /// A well-known combination, or any combiner by its own name together with `replace`. Parameters have their defaults.
  ///
  /// | name | means |
  /// | --- | --- |
  /// | `fedavg` | mean |
  /// | `fedavgm` | mean + momentum |
  /// | `fedadagrad`, `fedyogi`, `fedadam` | mean + adagrad, yogi, adam |
  /// | `rfa` | geometricMedian |
  ///
  /// - Parameter localRate: the learning rate of the task's devices, which `qFedAvg` uses; `nil` without a task.
  /// - Throws: `unknownStrategy` with the known names, or the error of a combiner that needs parameters.
  public init(named name: String, rules: Rules = Rules(), localRate: Double? = nil) throws(AggregationError) {
    let (combiner, optimizer) = Rules.find(name, in: Self.aliases)?.value ?? (name, "replace")
    guard Rules.find(combiner, in: rules.combiners) != nil else {
      throw .unknownStrategy(name, known: (Array(Self.aliases.keys) + rules.combiners.keys).sorted())
    }
    try self.init(.composed(filters: [], combiner: .init(combiner), optimizer: .init(optimizer)), rules: rules, localRate: localRate)
  }

  /// The strategy that a task specifies.
  ///
  /// - Parameter localRate: the task's `local.rate`, which `qFedAvg` uses; `nil` without a task.
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

// MARK: - Requirements on a task

extension Strategy {
  /// Reasons, in sentences, why rounds with the smallest cohort that the task allows could not be aggregated; empty if they can.
  ///
  /// A filter may refuse updates and leave fewer than that, which shows only in the round.
  ///
  /// - Parameter minimumCohort: the smallest number of updates in a round, > 0.
  public func problems(minimumCohort: Int) -> [String] {
    combiner.problem(updates: minimumCohort).map { ["\($0); the task's smallest cohort is \(minimumCohort)"] } ?? []
  }

  /// Whether regions may aggregate their devices' updates first.
  public var isDecomposable: Bool { whyNotDecomposable == nil }

  /// Why regions may not aggregate first, in a sentence; `nil` if they may.
  public var whyNotDecomposable: String? {
    if filters.contains(where: \.looksAtOthers) {
      return "one of its filters compares the updates of the whole cohort, but a region sees only a part of them: use upload: central"
    }
    guard combiner.composition == nil else { return nil }
    return "its combiner needs the updates of the whole cohort, but a region sees only a part of them: use upload: central"
  }

  /// The strategies of a region and of central that together equal this one up to rounding: filters and combiner at the region, a weighted
  /// mean and the server optimizer at central. `weight(of:)` gives the weight of a region's result.
  ///
  /// - Returns: `nil` if regions may not aggregate.
  public var decomposed: (region: Strategy, central: Strategy)? {
    guard isDecomposable else { return nil }
    return (Strategy(filters: filters, combiner: combiner), Strategy(combiner: Mean(.samples), optimizer: optimizer))
  }

  /// The weight of a region's result at central.
  public func weight(of result: AggregationResult) -> Double {
    combiner.composition == .count ? Double(result.accepted.count) : result.weight
  }
}
