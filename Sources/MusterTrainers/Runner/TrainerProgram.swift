internal import Glibc
public import MusterSchema

/// How a trainer is run: the object that agent.json has under `trainers`, by name.
public struct TrainerProgram: Codable, Hashable, Sendable {
  /// Program and arguments. Without a slash the program is looked for beside our own executable, then in PATH. One-shot: the job folder is
  /// appended.
  public var command: [String]
  /// One process for many jobs (one a line on its standard input), or one process a job.
  public var resident: Bool
  /// A resident process without a job for so long is stopped.
  public var idleSeconds: Double
  /// Added to the minimal environment (PATH, HOME, LANG).
  public var environment: [String: String]
  /// Threads that numeric libraries may use: OMP_NUM_THREADS and the like.
  public var threads: Int
  /// From SIGTERM to SIGKILL.
  public var graceSeconds: Double
  /// A job that takes longer is stopped; nil: as long as it takes.
  public var timeoutSeconds: Double?
  /// The working folder, which relative paths of `data` start from: the configuration file's. nil: our own.
  public var folder: String?
  /// The user that it runs as, a name or a number; nil: our own. Only root can choose.
  public var user: String?
  /// The model types that it knows, `step:onnx` for every model with an exported training step; nil: it does not say, and is asked for any.
  public var models: [String]?
  /// Of the trainer or of what it trains with: `2.15.0`.
  public var version: String?
  /// What it may use. Those of the kernel need the launcher that ``TrainerRunner`` is given.
  public var limits: TrainerLimits

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
      throw JSONRefusal("models are at most 32 names of 63 bytes, version is one text of 63 bytes")
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
  /// Stands for every model that comes with an ONNX training step.
  public static let onnxStep = "step:onnx"

  /// Why its program cannot be started, as far as the file system tells; nil when it is there and may be executed.
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

  /// Whether it is our own.
  private var isOurs: Bool { command.first?.split(separator: "/").last == "muster-train" }

  /// What it knows: as configured, of our own by itself.
  var knownModels: [String]? {
    if let models { return models }
    guard isOurs else { return nil }
    return command.dropFirst().first == "onnx" ? [Self.onnxStep] : Self.builtInModels
  }
}

extension Capabilities {
  /// What these trainers can do.
  public init(of trainers: [String: TrainerProgram]) {
    let models = trainers.compactMapValues(\.knownModels)
    let versions = trainers.compactMapValues { $0.version ?? ($0.knownModels != nil && $0.models == nil ? Muster.version : nil) }
    self.init(
      trainers: trainers.keys.sorted(), version: Muster.version, models: models.isEmpty ? nil : models,
      versions: versions.isEmpty ? nil : versions)
  }
}
