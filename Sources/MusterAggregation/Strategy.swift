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

  /// Well-known combinations by name: `fedavg` (and `mean`) is the mean weighted by samples, `uniform` the plain one, both with replace.
  ///
  /// - Throws: `unknownStrategy` with the known names.
  public init(named name: String) throws(AggregationError) {
    guard let combiner = Self.combiner(for: Self.aliases[name] ?? name) else {
      throw .unknownStrategy(name, known: (Self.aliases.keys + Self.combiners).sorted())
    }
    self.init(combiner: combiner)
  }

  /// What a task asks for.
  ///
  /// - Throws: `unknownStrategy`, `unknownComponent`, `unknownParameter`.
  public init(_ specification: StrategySpecification) throws(AggregationError) {
    switch specification {
    case .named(let name): try self.init(named: name)
    case .composed(let filters, let combiner, let optimizer):
      if let filter = filters.first { throw .unknownComponent(kind: "filter", name: filter.name, known: []) }
      guard let known = Self.combiner(for: combiner.name) else {
        throw .unknownComponent(kind: "combiner", name: combiner.name, known: Self.combiners)
      }
      guard optimizer.name == "replace" else { throw .unknownComponent(kind: "optimizer", name: optimizer.name, known: ["replace"]) }
      for component in [combiner, optimizer] {
        if let parameter = component.parameters.keys.min() { throw .unknownParameter(component: component.name, parameter: parameter) }
      }
      self.init(combiner: known)
    }
  }

  private static let aliases = ["fedavg": "mean"]
  private static let combiners = ["mean", "uniform"]

  private static func combiner(for name: String) -> (any Combiner)? {
    switch name {
    case "mean": Mean(.samples)
    case "uniform": Mean(.uniform)
    default: nil
    }
  }
}
