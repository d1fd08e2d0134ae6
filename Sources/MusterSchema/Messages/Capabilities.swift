/// What a node has to train with.
public struct Capabilities: Codable, Hashable, Sendable {
  /// Names of the trainers in the agent's own configuration.
  public var trainers: [String]
  /// Of the agent.
  public var version: String?
  /// The model types of each trainer that says which it knows; `step:onnx` stands for every model that comes with an exported training step of
  /// that format.
  public var models: [String: [String]]?
  /// The versions of trainers that say it.
  public var versions: [String: String]?

  public init(
    trainers: [String], version: String? = nil, models: [String: [String]]? = nil, versions: [String: String]? = nil
  ) {
    self.trainers = trainers
    self.version = version
    self.models = models
    self.versions = versions
  }
}
