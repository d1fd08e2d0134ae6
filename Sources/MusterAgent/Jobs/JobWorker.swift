import Logging
import MusterEnrolment
import MusterGround
import MusterParticipation
import MusterSchema
import MusterTensors
import MusterTrainers
import MusterTransfer

/// Carries out the device's steps one at a time: it trains, uploads, or asks the ledger.
actor JobWorker {
  let shell: AgentShell
  let policy: Policy
  let logger: Logger
  private let configuration: AgentConfiguration
  private let launcher: [String]
  private let blobs: BlobCache
  private var client: HTTPClient?
  /// The digest of the last result that this process packed.
  private(set) var packed: Digest?
  private var runners: [String: TrainerRunner] = [:]

  init(_ configuration: AgentConfiguration, launcher: [String], shell: AgentShell, logger: Logger) {
    self.launcher = launcher
    self.configuration = configuration
    self.shell = shell
    self.logger = logger
    policy = configuration.policy
    blobs = BlobCache(folder: shell.folders.blobs)
  }

  /// Runs until the task is cancelled, and then shuts down all trainers.
  func run() async {
    while let (step, control) = await shell.steps.next() {
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await self.carryOut(step, control) }
        group.addTask { await control.stop.wait() }
        await group.next()
        group.cancelAll()
      }
      let (task, key) = (step.job.task, step.job.key)
      if await shell.job(task, key) == nil { shell.folders.remove(task, key) }
    }
    for runner in runners.values { await runner.shutdown() }
  }

  private func carryOut(_ step: JobQueue.Step, _ control: StepControl) async {
    do {
      switch step.kind {
      case .train: try await train(step.job)
      case .upload: try await upload(step.job, control)
      case .ask: try await ask(step.job, control)
      }
    } catch is CancellationError {
      // The step is no longer wanted, or the agent stops. The machine knows this already.
    } catch {
      let job = step.job
      let reason = reason(error, of: job)
      logger.warning(
        "a job failed: \(reason)",
        metadata: ["task.id": "\(job.task)", "round": "\(job.key.round)", "phase": "\(job.key.phase.rawValue)"])
      let log = (error as? TrainerError)?.log ?? []
      shell.folders.keepFailed(job.task, job.key, reason: reason, log: log)
      await shell.receive(.failed(job.task, job.key, reason: reason))
    }
  }

  /// The HTTP client. It is made when it is first needed, because an idle agent does not need one.
  func http() throws(TransferError) -> HTTPClient {
    if let client { return client }
    let fresh = try HTTPClient(
      HTTPConfiguration(stallSeconds: configuration.stallSeconds, idleConnections: 4, tls: configuration.identity?.folder.clientTLS),
      logger: logger)
    client = fresh
    return fresh
  }

  // MARK: Training

  private func train(_ job: Job) async throws {
    let (task, key) = (job.task, job.key)
    guard let descriptor = await shell.descriptor(task) else { throw JobFailure("the device no longer has the task's descriptor") }
    guard let trainer = await shell.trainer(for: descriptor), let program = configuration.trainers[trainer] else {
      throw JobFailure("this device has no trainer \"\(descriptor.trainer.description.withoutControlCharacters)\"")
    }
    if let why = policy.uploadRefusal(job.invitation.upload) { throw JobFailure(why) }
    let encoding = TensorEncoding(name: descriptor.encoding.name, fraction: descriptor.encoding.fraction)
    var base = try await fetch(job.invitation.base, for: job)
    if encoding?.encodesModels == true { base = try await ContributionBody.decoded(base) }
    // A training step is fetched only for a trainer that executes such steps.
    var step: String?
    if let described = descriptor.model.step, await shell.runsSteps(trainer, described) {
      let reference = ModelReference(digest: described.blob, bytes: described.bytes ?? BlobCache.maximumBytes)
      step = try await fetch(reference, for: job)
    }
    let folder = JobFolder(shell.folders.work(task, key))
    let description = TrainerJobDescription(
      key.phase == .train ? .train : .evaluate, task: task, round: key.round, model: descriptor.model, local: descriptor.local,
      seed: Seeds.device(job.invitation.seed, NodePath(configuration.region, configuration.id)), data: configuration.data)
    // A trainer can truncate a file that it shares. With an encoding, the base is copied, because it is mapped later for the difference.
    let (model, stepFile, state, sharing) = (base, step, shell.folders.trainerState(task), encoding == nil)
    try await offloadLong { () throws(TrainerError) in
      // Remove all files of an earlier attempt.
      try folder.remove()
      try folder.prepare(description, global: model, sharing: sharing, step: stepFile, state: state)
      if let user = program.user { try folder.hand(to: user) }
    }
    let untouched = Files.stamp(base)
    let outcome = try await run(description, in: folder, with: runner(trainer, program), for: job)
    guard Files.stamp(base) == untouched else {
      throw JobFailure("trainer wrote to global.safetensors, which is shared with the agent and must only be read")
    }
    let result: JobResult
    switch key.phase {
    case .train:
      result = try await ContributionBody.pack(
        outcome, of: trainer, in: folder.taken, for: job, maximumWeight: descriptor.maximumWeight, encoding: encoding, base: base,
        residual: shell.folders.residual(task))
    case .evaluate: result = try await ContributionBody.pack(evaluation: outcome.result, in: folder.taken, for: job)
    }
    try Task.checkCancellation()
    try shell.folders.settle(task, key)
    packed = result.digest
    await shell.receive(.finished(task, key, result))
  }

  private func run(
    _ description: TrainerJobDescription, in folder: JobFolder, with runner: TrainerRunner, for job: Job
  ) async throws -> TrainerOutcome {
    let (progress, feed) = AsyncStream.makeStream(of: TrainerProgress.self, bufferingPolicy: .bufferingNewest(1))
    let shell = shell
    return try await withThrowingTaskGroup(of: TrainerOutcome?.self) { group in
      group.addTask {
        for await step in progress { await shell.receive(.progress(job.task, job.key, fraction: step.fraction, loss: step.loss)) }
        return nil
      }
      group.addTask {
        defer { feed.finish() }
        do throws(TrainerError) {
          return try await runner.run(description, in: folder.path) { feed.yield($0) }
        } catch {
          if error == .cancelled { throw CancellationError() }
          throw error
        }
      }
      var outcome: TrainerOutcome?
      for try await result in group { outcome = result ?? outcome }
      guard let outcome else { throw CancellationError() }
      return outcome
    }
  }

  private func runner(_ name: String, _ program: TrainerProgram) -> TrainerRunner {
    if let runner = runners[name] { return runner }
    let runner = TrainerRunner(program, launcher: launcher, logger: logger)
    runners[name] = runner
    return runner
  }

  /// The file of a base model or a training step. While the coordinator is unreachable, retries for as long as the invitation allows.
  private func fetch(_ blob: ModelReference, for job: Job) async throws -> String {
    let deadline = ContinuousClock.now + .seconds(min(max(job.invitation.secondsLeft, 1), 86_400))
    var address = await shell.dataAddress
    while address == nil {
      guard ContinuousClock.now < deadline else { throw JobFailure("the coordinator has not published the address of its models") }
      await shell.coordinatorHeard.wait(until: deadline)
      try Task.checkCancellation()
      address = await shell.dataAddress
    }
    var attempt = 1
    while true {
      do throws(TransferError) {
        let file = try await blobs.file(blob, from: address ?? "", http: http())
        if attempt > 1 { await shell.receive(.hindered(job.task, job.key, reason: nil)) }
        return file
      } catch {
        guard error != .cancelled else { throw CancellationError() }
        // Name the address: it comes from the coordinator, and is wrong more often than the network is down.
        let why = "cannot fetch the model from \(address ?? "its coordinator"): \(error.problem.map { "\($0)" } ?? "\(error)")"
        guard let pause = error.patience(attempt), ContinuousClock.now + pause < deadline else { throw JobFailure(why) }
        if attempt == 1 { logger.notice("\(why.withoutControlCharacters); retrying", metadata: ["task.id": "\(job.task)"]) }
        await shell.receive(.hindered(job.task, job.key, reason: why))
        await shell.coordinatorHeard.wait(until: .now + pause)
        try Task.checkCancellation()
        attempt += 1
        address = await shell.dataAddress ?? address
      }
    }
  }

  /// A short reason that is the same each time for the same cause. It includes a trainer's last words, which tell the owner what to fix.
  /// Paths are shortened to begin at the job's folder, because that folder differs in each round and on each device.
  private func reason(_ error: any Error, of job: Job) -> String {
    let text: String
    switch error {
    case let error as JobFailure: text = error.reason
    case let error as TrainerError: text = error.briefDescription
    case let error as TransferError: text = error.problem.map { "\($0)" } ?? "\(error)"
    case let error as SafetensorsError: text = "trainer wrote a file that is not valid: \(error)"
    default: text = "\(error)"
    }
    let folders = shell.folders
    let ways = [folders.taken(job.task, job.key), folders.work(job.task, job.key), folders.job(job.task, job.key), folders.root]
    return ways.reduce(text) { $0.replacing("\($1)/", with: "") }.brief()
  }
}

/// The reason why this device cannot do a job, as the coordinator receives it.
struct JobFailure: Error, Hashable {
  let reason: String

  init(_ reason: String) { self.reason = reason }
}

extension TransferError {
  private static let policy = RetryPolicy(attempts: .max, base: .milliseconds(100), cap: .seconds(30))

  /// The pause before another attempt, with full jitter and the server's own request; `nil` when another attempt cannot help.
  func patience(_ attempt: Int) -> Duration? {
    var generator = SystemRandomNumberGenerator()
    // Any other 5xx is a fault of the server as well, and may pass.
    let passing = (500...599).contains(status ?? 0) && !isTransient ? TransferError.timedOut(host: "") : self
    return Self.policy.pause(after: passing, attempt: attempt, using: &generator)
  }
}
