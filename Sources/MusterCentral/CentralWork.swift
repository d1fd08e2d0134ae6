import FoundationEssentials
import Glibc
import Logging
import MusterAggregation
import MusterCoordination
import MusterGround
import MusterParticipation
import MusterSchema
import MusterServer
import MusterShell
import MusterStorage
import MusterTensors
import MusterTrainers

/// Central's long work: makes initial models, aggregates and evaluates. Each piece reports its result to the machine with an event.
final class CentralWork: Sendable {
  private let state: StateFolder
  private let testData: JSONValue?
  private let trainers: [String: TrainerRunner]
  private let rules: Rules
  private let capabilities: Capabilities
  private let logger: Logger

  init(state: StateFolder, trainers: [String: TrainerProgram], testData: JSONValue?, rules: Rules, logger: Logger) {
    self.state = state
    self.testData = testData
    self.rules = rules
    capabilities = Capabilities(of: trainers)
    self.trainers = trainers.mapValues { TrainerRunner($0, launcher: TrainerLaunch.own, logger: logger) }
    self.logger = logger
  }

  /// Waits until the task is cancelled, then ends the trainers.
  func shutdownWhenCancelled() async {
    let (forever, _) = AsyncStream.makeStream(of: Never.self)
    for await _ in forever {}
    for trainer in trainers.values { await trainer.shutdown() }
  }

  @Sendable func attempt(_ item: CentralWorkItem, _ logger: Logger) async throws -> Coordinator.Event {
    let key = item.key
    switch key.kind {
    case .initialize:
      let model = try await initialize(item)
      return .initialized(key.task, model, wire: try await wire(model, item))
    case .aggregate:
      let (model, refused): (ModelReference, [Waiting])
      do {
        (model, refused) = try await aggregate(item)
      } catch let error as AggregationError {
        // Updates of other devices may help.
        guard let refusals = error.refusals else { throw error }
        logger.warning("too few updates are left: \(error)")
        return .fellShort(
          key.task, round: key.round, refused: refusals.map { Waiting(node: $0.path, reason: $0.reason) }, reason: "\(error)")
      }
      return .aggregated(key.task, round: key.round, model, wire: try await wire(model, item), refused: refused)
    case .evaluate: return .evaluated(key.task, round: key.round, metrics: try await evaluate(item))
    }
  }

  /// Classifies an error: trouble of the machine, or of the task.
  @Sendable func trouble(_ error: any Error) -> Trouble {
    if Trouble.isPassing(error) { return .passing }
    switch error {
    case is StorageError, TrainerError.signalled, TrainerError.notStarted: return .unclear
    // The program's error does not show whether a full disk caused it, so the disk is checked.
    case is TrainerError, AggregationError.external: return state.isFull ? .passing : .lasting
    default: return .lasting
    }
  }

  // MARK: - The three kinds

  private func initialize(_ item: CentralWorkItem) async throws -> ModelReference {
    switch item.specification.initial {
    case .blob(let digest):
      guard let bytes = state.size(of: digest) else { throw WorkError("central holds no blob \(digest)") }
      return ModelReference(digest: digest, bytes: bytes)
    case .seed(let seed):
      let folder = try folder(item)
      return try await removing(folder) {
        let outcome = try await train(item, .initialize, seed: seed, base: nil, in: folder)
        guard let model = outcome.parameters else { throw WorkError("the trainer made no model") }
        return try await adopt(model)
      }
    }
  }

  private func aggregate(_ item: CentralWorkItem) async throws -> (ModelReference, [Waiting]) {
    let fold = try await RoundFold(item, state, rules: rules)
    let result = try await fold.write(to: "\(try state.workFolder())/aggregate-\(item.key.task)-\(item.key.round)")
    var model = try await adopt(result.model)
    if let state = result.state { model.state = try await adopt(state).digest }
    return (model, result.refused)
  }

  /// Computes a round's model again, only for comparison.
  ///
  /// - Parameter recorded: the recorded model's digest. Version 0.1.0 wrote the task's id into models, so the comparison also tries that.
  func replay(_ item: CentralWorkItem, recorded: Digest) async throws -> Digest {
    let output = "\(try state.workFolder())/replay-\(item.key.task)-\(item.key.round)-\(UInt64.random(in: .min ... .max))"
    let result = try await RoundFold(item, state, rules: rules).write(to: output)
    return try await offloadLong { () throws in
      defer { for file in [result.model, result.state].compactMap({ $0 }) { unlink(file) } }
      let digest = try Digest(ofFile: result.model)
      if digest == recorded { return digest }
      let file = try SafetensorsFile(path: result.model)
      let metadata = file.metadata.merging(["muster.task": item.key.task.rawValue]) { $1 }
      try SafetensorsWriter.rewriteMetadata(from: file, metadata: metadata, to: result.model)
      return try Digest(ofFile: result.model) == recorded ? recorded : digest
    }
  }

  /// The reproducible copy of a model in the task's encoding, which devices download; `nil` if they download the model itself.
  private func wire(_ model: ModelReference, _ item: CentralWorkItem) async throws -> ModelReference? {
    guard let encoding = TensorEncoding(name: item.specification.encoding.name), encoding.encodesModels else { return nil }
    guard let path = await state.file(of: model.digest) else { throw WorkError("the model to encode is missing from the store") }
    let output = "\(try state.workFolder())/wire-\(item.key.task)-\(item.key.round)"
    try await offloadLong { () throws(SafetensorsError) in
      try encoding.encode(model: SafetensorsFile(path: path), to: output, metadata: ["muster.content": "parameters"])
    }
    return try await adopt(output)
  }

  private func evaluate(_ item: CentralWorkItem) async throws -> [String: Double] {
    guard let base = item.base, let path = await state.file(of: base) else {
      throw WorkError("the model to evaluate is missing from the store")
    }
    guard testData != nil else { return [:] }
    let folder = try folder(item)
    return try await removing(folder) { try await train(item, .evaluate, seed: 0, base: path, in: folder).result.metrics }
  }

  private func train(
    _ item: CentralWorkItem, _ kind: TrainerJobDescription.Kind, seed: UInt64, base: String?, in folder: JobFolder
  ) async throws -> TrainerOutcome {
    let trainer: TrainerRunner
    switch Admission.choice(of: item.specification.trainer.unversioned, for: item.specification.model, from: capabilities) {
    case .trainer(let name):
      guard let runner = trainers[name] else { preconditionFailure("the trainer \(name) was chosen, but central does not have it") }
      trainer = runner
    case .none(let why): throw WorkError("central cannot use the task's trainer: \(why)")
    }
    let description = TrainerJobDescription(
      kind, task: item.key.task, round: item.key.round, model: item.specification.model, local: item.specification.local, seed: seed,
      data: kind == .initialize ? nil : testData)
    let step = if let blob = item.specification.model.step?.blob { await state.file(of: blob) } else { nil as String? }
    try await offload { () throws(TrainerError) in try folder.prepare(description, global: base, step: step) }
    return try await trainer.run(description, in: folder.path)
  }

  // MARK: - Files

  private func folder(_ item: CentralWorkItem) throws -> JobFolder {
    JobFolder("\(try state.workFolder())/job-\(item.key.kind.rawValue)-\(item.key.task)-\(item.key.round)")
  }

  private func adopt(_ file: String) async throws -> ModelReference {
    let state = state
    return try await offloadLong { () throws in
      let digest = try state.adopt(file: file)
      guard let bytes = state.size(of: digest) else { throw WorkError("the model disappeared from the store") }
      return ModelReference(digest: digest, bytes: bytes)
    }
  }

  /// Removes a job folder after its use. Runs off the cooperative pool, because a trainer may leave any number of files.
  private func removing<Result>(_ folder: JobFolder, after body: () async throws -> Result) async throws -> Result {
    let outcome: Swift.Result<Result, any Error>
    do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
    do {
      try await offload { () throws(TrainerError) in try folder.remove() }
    } catch {
      logger.notice("a used job folder cannot be removed: \(error)", metadata: ["folder": "\(folder.path)"])
    }
    return try outcome.get()
  }
}

/// The reason why a piece of central's work failed.
struct WorkError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
