/// The trainers that a node can use.
public struct Capabilities: Codable, Hashable, Sendable {
  /// Names of the trainers in the agent's own configuration.
  public var trainers: [String]
  /// The agent's version.
  public var version: String?
  /// The model types of each trainer that lists them. `step:onnx` stands for every model that has an exported training step in that format.
  public var models: [String: [String]]?
  /// The versions of the trainers that report one.
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
