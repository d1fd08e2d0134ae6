public import MusterSchema

/// A trainer's job: the contents of a job folder's `task.json`.
public struct TrainerJobDescription: Codable, Hashable, Sendable {
  /// The contract's version of this package.
  public static let contract = 1

  /// The kinds of jobs.
  public enum Kind: String, Codable, Hashable, Sendable {
    /// Make the first model, `global.safetensors`.
    case initialize
    /// Train `global.safetensors` on the data, and write the resulting parameters to `update.safetensors`.
    case train
    /// Measure `global.safetensors` on the data, and write only `metrics.json`.
    case evaluate
  }

  /// The contract's version. A trainer refuses a newer version than it knows.
  public var contract: Int
  /// The kind of the job.
  public var job: Kind
  /// The task that the job belongs to.
  public var task: TaskID
  /// The number of the round.
  public var round: Int
  /// The model, as in the task file.
  public var model: ModelSpecification
  /// The hyperparameters of local training.
  public var local: LocalTraining
  /// On devices, derived from the round's seed and the device's path. At central, the task's initial seed, and 0 for `evaluate`.
  public var seed: UInt64
  /// The data configuration of the device (or of central), as in its configuration file; `nil` for `initialize`.
  public var data: JSONValue?

  /// Describes a job of this package's contract version.
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

/// The contents of `metrics.json`: a trainer's result beside its tensors. The file's presence means that the job is complete.
public struct TrainerMetrics: Codable, Hashable, Sendable {
  /// The number of samples behind the result, which is an update's weight.
  public var samples: Double
  /// Finite numbers by name, such as loss and accuracy, at most 64. For training, those of the last epoch.
  public var metrics: [String: Double]
  /// The loss of the global model on the same samples before training, which q-FedAvg needs.
  public var initialLoss: Double?

  /// Metrics of a result.
  public init(samples: Double, metrics: [String: Double] = [:], initialLoss: Double? = nil) {
    self.samples = samples
    self.metrics = metrics
    self.initialLoss = initialLoss
  }

  /// The reason, as a phrase, why these numbers are not valid for a job of this kind; `nil` if they are.
  public func problem(for job: TrainerJobDescription.Kind) -> String? {
    guard samples.isFinite, samples >= 0 else { return "samples is \(samples), but must be 0 or more" }
    guard samples > 0 || job == .initialize else { return "samples is 0: there is no data to \(job.rawValue) on" }
    guard metrics.count <= 64 else { return "there are \(metrics.count) metrics, but at most 64 are allowed" }
    for (name, value) in metrics.sorted(by: { $0.key < $1.key }) {
      guard (1...63).contains(name.utf8.count), name.withoutControlCharacters == name else {
        return "a metric's name must be printable and 1 to 63 bytes long"
      }
      guard value.isFinite else { return "the metric \(name) is \(value)" }
    }
    if let initialLoss, !initialLoss.isFinite { return "initialLoss is \(initialLoss)" }
    return nil
  }
}

/// The progress of a job, from a trainer's progress line.
public struct TrainerProgress: Hashable, Sendable {
  /// The completed part of the whole job, 0 to 1.
  public var fraction: Double
  /// The current epoch, counted from 1.
  public var epoch: Int?
  /// The loss so far in this epoch.
  public var loss: Double?

  /// A progress report.
  public init(fraction: Double, epoch: Int? = nil, loss: Double? = nil) {
    self.fraction = fraction
    self.epoch = epoch
    self.loss = loss
  }
}

/// One line of the protocol on a trainer's standard output.
enum TrainerLine: Hashable {
  case progress(TrainerProgress)
  /// A resident trainer's answer to a job: its folder and exit status.
  case done(folder: String, exit: Int32)
  /// Not a line of the protocol; it goes to the log.
  case other
}
