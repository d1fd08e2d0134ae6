/// How the updates of a round become the next model: filters → combiner → server optimizer, or the name of a known combination.
public enum StrategySpecification: Codable, Hashable, Sendable {
  case named(String)
  case composed(filters: [Component], combiner: Component, optimizer: Component)

  /// One step and its parameters: `median`, `{clip: 1.0}`, `{trimmedMean: {beta: 0.2}}`.
  public struct Component: Codable, Hashable, Sendable {
    public var name: String
    /// Parameters by name. The single number of the short form has the name `value`.
    public var parameters: [String: Double]

    public init(_ name: String, _ parameters: [String: Double] = [:]) {
      self.name = name
      self.parameters = parameters
    }

    public init(from decoder: any Decoder) throws {
      if let name = decoder.word {
        self.init(name)
        return
      }
      let container = try decoder.container(keyedBy: AnyKey.self)
      guard container.allKeys.count == 1, let key = container.allKeys.first else {
        throw DecodingError.dataCorrupted(
          .init(codingPath: decoder.codingPath, debugDescription: "must be a name, or one name with its parameters: {clip: 1.0}"))
      }
      if let value = try? container.decode(Double.self, forKey: key) {
        self.init(key.stringValue, ["value": value])
      } else {
        self.init(key.stringValue, try container.decode([String: Double].self, forKey: key))
      }
    }

    public func encode(to encoder: any Encoder) throws {
      if parameters.isEmpty {
        var container = encoder.singleValueContainer()
        try container.encode(name)
      } else {
        var container = encoder.container(keyedBy: AnyKey.self)
        if let value = parameters["value"], parameters.count == 1 {
          try container.encode(value, forKey: AnyKey(name))
        } else {
          try container.encode(parameters, forKey: AnyKey(name))
        }
      }
    }
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case filters, combiner, optimizer }

  public init(from decoder: any Decoder) throws {
    if let name = decoder.word {
      self = .named(name)
      return
    }
    let fields = try StrictContainer<CodingKeys>(decoder)
    self = .composed(
      filters: try fields.value(.filters, else: []), combiner: try fields.value(.combiner, else: Component("mean")),
      optimizer: try fields.value(.optimizer, else: Component("replace")))
  }

  public func encode(to encoder: any Encoder) throws {
    switch self {
    case .named(let name):
      var container = encoder.singleValueContainer()
      try container.encode(name)
    case .composed(let filters, let combiner, let optimizer):
      var container = encoder.container(keyedBy: CodingKeys.self)
      if !filters.isEmpty { try container.encode(filters, forKey: .filters) }
      try container.encode(combiner, forKey: .combiner)
      try container.encode(optimizer, forKey: .optimizer)
    }
  }
}
