/// A task as an operator writes it in the task file.
package struct TaskSpecification: Codable, Hashable, Sendable {
  /// The limit on the size of its text, YAML or JSON, in bytes.
  package static let maximumBytes = 256 << 10

  package var name: String
  package var model: ModelSpecification
  package var initial: InitialModel
  package var trainer: TrainerSelection
  package var regions: [NodeID]
  /// A label selector: `arch=x86_64,site!=lab`.
  package var `where`: String?
  package var requires: Requirements?
  package var rounds: Int
  package var cohort: CohortSpecification
  package var local: LocalTraining
  package var strategy: StrategySpecification
  package var evaluate: EvaluationSpecification
  package var stop: StopSpecification?
  package var upload: UploadTarget
  package var encoding: EncodingSpecification
  /// Names of the layers that are exchanged; `*` stands for all.
  package var shared: [String]
  package var maximumWeight: Double
  package var keep: KeepSpecification
  package var maxAttempts: Int
  package var validSeconds: Double

  enum CodingKeys: String, CodingKey, CaseIterable {
    case name, model, initial, trainer, regions, `where`, requires, rounds, cohort, local, strategy, evaluate, stop, upload, encoding
    case shared, maximumWeight, keep, maxAttempts, validSeconds
  }

  package init(
    name: String, model: ModelSpecification, initial: InitialModel = .seed(1), trainer: TrainerSelection = "built-in",
    regions: [NodeID] = [],
    where selector: String? = nil, requires: Requirements? = nil, rounds: Int, cohort: CohortSpecification,
    local: LocalTraining = LocalTraining(), strategy: StrategySpecification = .named("fedavg"),
    evaluate: EvaluationSpecification = EvaluationSpecification(), stop: StopSpecification? = nil, upload: UploadTarget = .central,
    encoding: EncodingSpecification = .float32, shared: [String] = ["*"], maximumWeight: Double = 1_000_000,
    keep: KeepSpecification = KeepSpecification(), maxAttempts: Int = 5, validSeconds: Double = 86400
  ) {
    self.name = name
    self.model = model
    self.initial = initial
    self.trainer = trainer
    self.regions = regions
    self.where = selector
    self.requires = requires
    self.rounds = rounds
    self.cohort = cohort
    self.local = local
    self.strategy = strategy
    self.evaluate = evaluate
    self.stop = stop
    self.upload = upload
    self.encoding = encoding
    self.shared = shared
    self.maximumWeight = maximumWeight
    self.keep = keep
    self.maxAttempts = maxAttempts
    self.validSeconds = validSeconds
  }

  package init(from decoder: any Decoder) throws {
    let fields = try StrictContainer<CodingKeys>(decoder)
    self.init(
      name: try fields.value(.name), model: try fields.value(.model), initial: try fields.value(.initial, else: .seed(1)),
      trainer: try fields.value(.trainer, else: "built-in"), regions: try fields.value(.regions, else: []),
      where: try fields.optional(.where), requires: try fields.optional(.requires), rounds: try fields.value(.rounds),
      cohort: try fields.value(.cohort), local: try fields.value(.local, else: LocalTraining()),
      strategy: try fields.value(.strategy, else: .named("fedavg")), evaluate: try fields.value(.evaluate, else: EvaluationSpecification()),
      stop: try fields.optional(.stop), upload: try fields.value(.upload, else: .central),
      encoding: try fields.value(.encoding, else: .float32), shared: try fields.value(.shared, else: ["*"]),
      maximumWeight: try fields.value(.maximumWeight, else: 1_000_000), keep: try fields.value(.keep, else: KeepSpecification()),
      maxAttempts: try fields.value(.maxAttempts, else: 5), validSeconds: try fields.value(.validSeconds, else: 86400))
  }
}

/// Where devices upload: to central, or to their region, which then aggregates.
package enum UploadTarget: String, Codable, Hashable, Sendable { case central, region }

/// The initial model: `{seed: 1}` lets the trainer initialize it, `{blob: sha256:…}` names one that central has.
package enum InitialModel: Codable, Hashable, Sendable {
  case seed(UInt64)
  case blob(Digest)

  private enum CodingKeys: String, CodingKey, CaseIterable { case seed, blob }

  package init(from decoder: any Decoder) throws {
    let fields = try StrictContainer<CodingKeys>(decoder)
    let seed: UInt64? = try fields.optional(.seed)
    let blob: Digest? = try fields.optional(.blob)
    switch (seed, blob) {
    case (let seed?, nil): self = .seed(seed)
    case (nil, let blob?): self = .blob(blob)
    default:
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "must be either {seed: N} or {blob: sha256:…}"))
    }
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .seed(let seed): try container.encode(seed, forKey: .seed)
    case .blob(let digest): try container.encode(digest, forKey: .blob)
    }
  }
}

/// The free resources that a device must have to take part.
package struct Requirements: Codable, Hashable, Sendable {
  package var memoryMiB: Int?
  package var diskMiB: Int?
  package var maxLoad: Double?
  /// Battery charge, 0–100. A device on mains power, or without a battery, always meets it.
  package var minBattery: Int?
  package var cores: Int?

  enum CodingKeys: String, CodingKey, CaseIterable { case memoryMiB, diskMiB, maxLoad, minBattery, cores }

  package init(memoryMiB: Int? = nil, diskMiB: Int? = nil, maxLoad: Double? = nil, minBattery: Int? = nil, cores: Int? = nil) {
    self.memoryMiB = memoryMiB
    self.diskMiB = diskMiB
    self.maxLoad = maxLoad
    self.minBattery = minBattery
    self.cores = cores
  }

  package init(from decoder: any Decoder) throws {
    let fields = try StrictContainer<CodingKeys>(decoder)
    self.init(
      memoryMiB: try fields.optional(.memoryMiB), diskMiB: try fields.optional(.diskMiB), maxLoad: try fields.optional(.maxLoad),
      minBattery: try fields.optional(.minBattery), cores: try fields.optional(.cores))
  }
}

/// The number and the choice of devices in a round, over all regions.
package struct CohortSpecification: Codable, Hashable, Sendable {
  package enum Selection: String, Codable, Sendable {
    /// Uniform, with a seed.
    case random
    /// The least loaded first.
    case load
  }

  /// Number of contributions that close a round.
  package var size: Int
  /// Number of contributions without which a round does not count.
  package var minimum: Int
  /// The fraction ready / (ready + declined) that must be reached before a round opens.
  package var ready: Double
  /// Over-selection: size × over devices are invited, and the first `size` contributions count.
  package var over: Double
  /// Seconds until the round's deadline.
  package var seconds: Double
  package var selection: Selection

  enum CodingKeys: String, CodingKey, CaseIterable { case size, minimum, ready, over, seconds, selection }

  package init(size: Int, minimum: Int? = nil, ready: Double = 0, over: Double = 1, seconds: Double = 60, selection: Selection = .random) {
    self.size = size
    self.minimum = minimum ?? size
    self.ready = ready
    self.over = over
    self.seconds = seconds
    self.selection = selection
  }

  package init(from decoder: any Decoder) throws {
    let fields = try StrictContainer<CodingKeys>(decoder)
    self.init(
      size: try fields.value(.size), minimum: try fields.optional(.minimum), ready: try fields.value(.ready, else: 0),
      over: try fields.value(.over, else: 1), seconds: try fields.value(.seconds, else: 60),
      selection: try fields.value(.selection, else: .random))
  }
}

/// When the global model is evaluated, and whether devices do it too.
package struct EvaluationSpecification: Codable, Hashable, Sendable {
  /// Number of rounds between evaluations; 0 means never. The last round is always evaluated unless this is 0.
  package var every: Int
  /// Whether devices evaluate on their data, in addition to central on its own.
  package var devices: Bool
  /// Seconds until the evaluation's own deadline. Too few evaluations never fail a round.
  package var seconds: Double

  enum CodingKeys: String, CodingKey, CaseIterable { case every, devices, seconds }

  package init(every: Int = 1, devices: Bool = false, seconds: Double = 30) {
    self.every = every
    self.devices = devices
    self.seconds = seconds
  }

  package init(from decoder: any Decoder) throws {
    let fields = try StrictContainer<CodingKeys>(decoder)
    self.init(
      every: try fields.value(.every, else: 1), devices: try fields.value(.devices, else: false),
      seconds: try fields.value(.seconds, else: 30))
  }
}

/// When a task ends before its last round.
package struct StopSpecification: Codable, Hashable, Sendable {
  /// The evaluated metric to watch.
  package var metric: String
  /// Which direction is better; with `nil`, ``MetricMode/known(_:)`` of the name.
  package var mode: MetricMode?
  /// The task ends when the metric reaches this value.
  package var at: Double?
  /// The task ends after this number of evaluations without a new best.
  package var patience: Int?

  enum CodingKeys: String, CodingKey, CaseIterable { case metric, mode, at, patience }

  package init(metric: String, mode: MetricMode? = nil, at: Double? = nil, patience: Int? = nil) {
    self.metric = metric
    self.mode = mode
    self.at = at
    self.patience = patience
  }

  package init(from decoder: any Decoder) throws {
    let fields = try StrictContainer<CodingKeys>(decoder)
    self.init(
      metric: try fields.value(.metric), mode: try fields.optional(.mode), at: try fields.optional(.at),
      patience: try fields.optional(.patience))
  }

  /// Which direction is better. A push with an unknown name and without a mode is refused; a task with such a name that version 0.1.0
  /// accepted continues as it began.
  package var direction: MetricMode {
    mode ?? MetricMode.known(metric) ?? (metric.contains("loss") || metric.contains("error") ? .min : .max)
  }

  package func isBetter(_ value: Double, than other: Double) -> Bool { direction.isBetter(value, than: other) }
  package func isReached(by value: Double) -> Bool { at.map { direction.isReached($0, by: value) } ?? false }
}

/// What is kept after a round. Retention removes the rest.
package struct KeepSpecification: Codable, Hashable, Sendable {
  /// Number of newest rounds whose updates are kept.
  package var updates: Int
  /// Number of newest models that are kept, in addition to the best and the initial one.
  package var checkpoints: Int

  enum CodingKeys: String, CodingKey, CaseIterable { case updates, checkpoints }

  package init(updates: Int = 2, checkpoints: Int = 5) {
    self.updates = updates
    self.checkpoints = checkpoints
  }

  package init(from decoder: any Decoder) throws {
    let fields = try StrictContainer<CodingKeys>(decoder)
    self.init(updates: try fields.value(.updates, else: 2), checkpoints: try fields.value(.checkpoints, else: 5))
  }
}
