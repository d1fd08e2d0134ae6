internal import Glibc
public import MusterSchema

/// A trainer's program and how to run it: an object under `trainers` in agent.json, whose key is the trainer's name.
public struct TrainerProgram: Codable, Hashable, Sendable {
  /// Program and arguments. A program without a slash is looked for beside our own executable, then in PATH. Unless it is resident, the job
  /// folder is appended as the last argument.
  public var command: [String]
  /// `true` runs one process for many jobs, one per line of its standard input; `false` one process per job.
  public var resident: Bool
  /// A resident process is stopped after this many seconds without a job.
  public var idleSeconds: Double
  /// Variables added to the minimal environment (PATH, HOME, LANG, and the number of threads); they take precedence.
  public var environment: [String: String]
  /// Number of threads for numeric libraries: OMP_NUM_THREADS and similar variables.
  public var threads: Int
  /// Time from SIGTERM to SIGKILL, in seconds.
  public var graceSeconds: Double
  /// A job that takes longer than this many seconds is stopped; `nil` for no limit.
  public var timeoutSeconds: Double?
  /// The working folder, to which relative paths in `data` refer: that of the configuration file. `nil` keeps ours.
  public var folder: String?
  /// User name or uid to run as; `nil` keeps our user. Only root can choose another.
  public var user: String?
  /// The model types that the trainer knows; `step:onnx` stands for every model with an exported training step. `nil` is unknown: the
  /// trainer is asked to train any model.
  public var models: [String]?
  /// Version of the trainer or of its framework, such as `2.15.0`.
  public var version: String?
  /// The trainer's limits. Those of the kernel need the launcher that ``TrainerRunner`` is given.
  public var limits: TrainerLimits

  /// Describes a trainer; see the properties.
  public init(
    command: [String], resident: Bool = false, idleSeconds: Double = 600, environment: [String: String] = [:], threads: Int = 1,
    graceSeconds: Double = 5, timeoutSeconds: Double? = nil, folder: String? = nil, user: String? = nil,
    limits: TrainerLimits = TrainerLimits(), models: [String]? = nil, version: String? = nil
  ) {
    self.command = command
    self.resident = resident
    self.idleSeconds = idleSeconds
    self.environment = environment
    self.threads = threads
    self.graceSeconds = graceSeconds
    self.timeoutSeconds = timeoutSeconds
    self.folder = folder
    self.user = user
    self.limits = limits
    self.models = models
    self.version = version
  }

  /// Decodes the object in agent.json, and checks its values.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      command: try container.decode([String].self, forKey: .command),
      resident: try container.decodeIfPresent(Bool.self, forKey: .resident) ?? false,
      idleSeconds: try container.decodeIfPresent(Double.self, forKey: .idleSeconds) ?? 600,
      environment: try container.decodeIfPresent([String: String].self, forKey: .environment) ?? [:],
      threads: try container.decodeIfPresent(Int.self, forKey: .threads) ?? 1,
      graceSeconds: try container.decodeIfPresent(Double.self, forKey: .graceSeconds) ?? 5,
      timeoutSeconds: try container.decodeIfPresent(Double.self, forKey: .timeoutSeconds),
      folder: try container.decodeIfPresent(String.self, forKey: .folder),
      user: try container.decodeIfPresent(String.self, forKey: .user),
      limits: try container.decodeIfPresent(TrainerLimits.self, forKey: .limits) ?? TrainerLimits(),
      models: try container.decodeIfPresent([String].self, forKey: .models),
      version: try container.decodeIfPresent(String.self, forKey: .version))
    guard let program = command.first, !program.isEmpty else {
      throw DecodingError.dataCorruptedError(forKey: .command, in: container, debugDescription: "must name a program")
    }
    guard (models ?? []).allSatisfy({ (1...63).contains($0.utf8.count) }), (models?.count ?? 0) <= 32, (version ?? "-").utf8.count <= 63
    else {
      throw JSONRefusal("models must be at most 32 names of 1 to 63 bytes, and version a string of at most 63 bytes")
    }
    guard Bounds.seconds.contains(idleSeconds), Bounds.seconds.contains(graceSeconds), (1...1024).contains(threads),
      timeoutSeconds.map({ $0 > 0 && Bounds.seconds.contains($0) }) ?? true
    else {
      throw JSONRefusal("idleSeconds, graceSeconds and timeoutSeconds must be between 0 and 1000000000, threads between 1 and 1024")
    }
  }
}

extension TrainerProgram {
  /// The built-in trainer's model types.
  public static let builtInModels = ["softmax", "mlp", "lenet5"]
  /// The entry in `models` that stands for every model with an ONNX training step.
  public static let onnxStep = "step:onnx"

  /// The reason why the program's file cannot be executed; `nil` if it is there and executable.
  package var whyNotFound: String? {
    let path = environment["PATH"] ?? getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
    do throws(TrainerError) {
      _ = try ChildProcess.find(command.first ?? "", path: path, folder: folder)
      return nil
    } catch {
      if case .notStarted(let why) = error { return why }
      return error.reason
    }
  }

  /// Whether it is `muster-train`.
  private var isOurs: Bool { command.first?.split(separator: "/").last == "muster-train" }

  /// The model types that it knows: as configured, or built in for `muster-train`.
  var knownModels: [String]? {
    if let models { return models }
    guard isOurs else { return nil }
    return command.dropFirst().first == "onnx" ? [Self.onnxStep] : Self.builtInModels
  }
}

extension Capabilities {
  /// The capabilities of a device with these trainers.
  public init(of trainers: [String: TrainerProgram]) {
    let models = trainers.compactMapValues(\.knownModels)
    let versions = trainers.compactMapValues { $0.version ?? ($0.knownModels != nil && $0.models == nil ? Muster.version : nil) }
    self.init(
      trainers: trainers.keys.sorted(), version: Muster.version, models: models.isEmpty ? nil : models,
      versions: versions.isEmpty ? nil : versions)
  }
}
