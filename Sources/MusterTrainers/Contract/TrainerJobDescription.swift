public import MusterSchema

/// What a trainer is asked to do: the contents of a job folder's `task.json`.
public struct TrainerJobDescription: Codable, Hashable, Sendable {
  /// The contract's version that this package speaks.
  public static let contract = 1

  public enum Kind: String, Codable, Hashable, Sendable {
    /// Make the first model: leaves `global.safetensors`.
    case initialize
    /// Train `global.safetensors` on the data: leaves `update.safetensors`, the resulting parameters.
    case train
    /// Measure `global.safetensors` on the data: leaves only `metrics.json`.
    case evaluate
  }

  /// The contract's version; a trainer refuses one that is newer than it knows.
  public var contract: Int
  public var job: Kind
  public var task: TaskID
  public var round: Int
  public var model: ModelSpecification
  public var local: LocalTraining
  /// The round's seed (initialize: the task's initial seed).
  public var seed: UInt64
  /// The device's own data configuration, as it stands in its configuration file; absent for initialize.
  public var data: JSONValue?

  public init(
    _ job: Kind, task: TaskID, round: Int, model: ModelSpecification, local: LocalTraining = LocalTraining(), seed: UInt64,
    data: JSONValue? = nil
  ) {
    contract = Self.contract
    self.job = job
    self.task = task
    self.round = round
    self.model = model
    self.local = local
    self.seed = seed
    self.data = data
  }
}

/// A trainer's result beside its tensors: the contents of `metrics.json`, whose presence means that the job is complete.
public struct TrainerMetrics: Codable, Hashable, Sendable {
  /// Samples behind the result: an update's weight.
  public var samples: Double
  /// Finite numbers by name: loss, accuracy, and whatever else the trainer measures. Training: of the last epoch.
  public var metrics: [String: Double]
  /// Loss of the global model on the same samples before training. q-FedAvg needs it.
  public var initialLoss: Double?

  public init(samples: Double, metrics: [String: Double] = [:], initialLoss: Double? = nil) {
    self.samples = samples
    self.metrics = metrics
    self.initialLoss = initialLoss
  }

  /// What is wrong with these numbers for a job of this kind; nil when they are good.
  public func problem(for job: TrainerJobDescription.Kind) -> String? {
    guard samples.isFinite, samples >= 0 else { return "samples is \(samples)" }
    guard samples > 0 || job == .initialize else { return "samples is 0: there is no data to \(job.rawValue) on" }
    guard metrics.count <= 64 else { return "\(metrics.count) metrics, at most 64 are allowed" }
    for (name, value) in metrics.sorted(by: { $0.key < $1.key }) {
      guard (1...63).contains(name.utf8.count), name.withoutControlCharacters == name else {
        return "a metric's name must be 1 to 63 printable characters"
      }
      guard value.isFinite else { return "the metric \(name) is \(value)" }
    }
    if let initialLoss, !initialLoss.isFinite { return "initialLoss is \(initialLoss)" }
    return nil
  }
}

/// How far a job is: a trainer's progress line.
public struct TrainerProgress: Hashable, Sendable {
  /// Of the whole job, 0 to 1.
  public var fraction: Double
  /// From 1.
  public var epoch: Int?
  public var loss: Double?

  public init(fraction: Double, epoch: Int? = nil, loss: Double? = nil) {
    self.fraction = fraction
    self.epoch = epoch
    self.loss = loss
  }
}

/// One line of the protocol on a trainer's standard output.
enum TrainerLine: Hashable {
  case progress(TrainerProgress)
  /// A resident trainer's answer to a job.
  case done(folder: String, exit: Int32)
  /// Not for us: kept as log.
  case other
}
