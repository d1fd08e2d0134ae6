/// The model that a task trains. Its type is defined by the trainer; the built-in trainer knows `softmax`, `mlp` and `lenet5`.
public struct ModelSpecification: Codable, Hashable, Sendable {
  public var type: String
  /// Channels × height × width of one sample.
  public var input: [Int]?
  public var classes: Int?
  /// Widths of the hidden layers of an `mlp`.
  public var hidden: [Int]?
  /// The model's exported training step, for trainers that execute one.
  public var step: TrainingStep?
  /// The trainer's own parameters of the model, passed to it unchanged.
  public var options: [String: JSONValue]?

  public init(
    type: String, input: [Int]? = nil, classes: Int? = nil, hidden: [Int]? = nil, step: TrainingStep? = nil,
    options: [String: JSONValue]? = nil
  ) {
    self.step = step
    self.options = options
    self.type = type
    self.input = input
    self.classes = classes
    self.hidden = hidden
  }

  public init(from decoder: any Decoder) throws {
    let fields = try StrictContainer<CodingKeys>(decoder)
    self.init(
      type: try fields.value(.type), input: try fields.optional(.input), classes: try fields.optional(.classes),
      hidden: try fields.optional(.hidden), step: try fields.optional(.step), options: try fields.optional(.options))
  }

  enum CodingKeys: String, CodingKey, CaseIterable { case type, input, classes, hidden, step, options }
}

/// A training step that was exported in advance: forward pass, backward pass and optimizer in one graph.
///
/// It is data that is transferred as a blob, and is in a job's folder under the name ``file``.
public struct TrainingStep: Codable, Hashable, Sendable {
  public var blob: Digest
  /// Size of the blob; central fills it in.
  public var bytes: Int?
  /// The graph's format; only `onnx` is known.
  public var format: String

  public init(blob: Digest, bytes: Int? = nil, format: String = "onnx") {
    self.blob = blob
    self.bytes = bytes
    self.format = format
  }

  public init(from decoder: any Decoder) throws {
    let fields = try StrictContainer<CodingKeys>(decoder)
    self.init(blob: try fields.value(.blob), bytes: try fields.optional(.bytes), format: try fields.value(.format, else: "onnx"))
  }

  enum CodingKeys: String, CodingKey, CaseIterable { case blob, bytes, format }

  /// All known formats.
  public static let formats = ["onnx"]
  /// Name of the file in a job's folder.
  public var file: String { "step.\(format)" }
  /// The entry in a trainer's list of models that stands for every model with such a step.
  public var capability: String { "step:\(format)" }
}

/// How a device trains: the hyperparameters of its local stochastic gradient descent.
public struct LocalTraining: Codable, Hashable, Sendable {
  /// Passes over the device's data. With 0 the base is returned unchanged.
  public var epochs: Int
  public var batch: Int
  public var rate: Double
  public var momentum: Double
  public var weightDecay: Double
  /// FedProx's μ: the gradient gains μ(w − w_global). Li et al. 2020.
  public var proximal: Double
  /// Combined with the round's seed, it determines the order of the samples.
  public var seed: UInt64
  /// The trainer's own parameters of training, passed to it unchanged.
  public var options: [String: JSONValue]?

  public init(
    epochs: Int = 1, batch: Int = 32, rate: Double = 0.1, momentum: Double = 0, weightDecay: Double = 0, proximal: Double = 0,
    seed: UInt64 = 1, options: [String: JSONValue]? = nil
  ) {
    self.options = options
    self.epochs = epochs
    self.batch = batch
    self.rate = rate
    self.momentum = momentum
    self.weightDecay = weightDecay
    self.proximal = proximal
    self.seed = seed
  }

  public init(from decoder: any Decoder) throws {
    let fields = try StrictContainer<CodingKeys>(decoder)
    self.init(
      epochs: try fields.value(.epochs, else: 1), batch: try fields.value(.batch, else: 32), rate: try fields.value(.rate, else: 0.1),
      momentum: try fields.value(.momentum, else: 0), weightDecay: try fields.value(.weightDecay, else: 0),
      proximal: try fields.value(.proximal, else: 0), seed: try fields.value(.seed, else: 1),
      options: try fields.optional(.options))
  }

  enum CodingKeys: String, CodingKey, CaseIterable { case epochs, batch, rate, momentum, weightDecay, proximal, seed, options }
}
