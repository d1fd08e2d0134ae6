import FoundationEssentials
import MusterSchema
import MusterTensors
import MusterTrainers
import Synchronization
import Testing

/// Tests the built `muster-train`, beside the test's own executable.
@Suite(.timeLimit(.minutes(2))) struct BuiltInTrainerTests {
  static let programs = [
    TrainerProgram(command: ["muster-train"]), TrainerProgram(command: ["muster-train", "--resident"], resident: true),
  ]

  @Test("It initializes, trains and evaluates, one-shot and resident", arguments: programs)
  func wholeRound(program: TrainerProgram) async throws {
    try await withTemporaryFolder { folder in
      try await withRunner(program) { runner in
        let initialize = JobFolder("\(folder)/initialize")
        try initialize.prepare(Jobs.job(.initialize))
        let model = try #require(try await runner.run(Jobs.job(.initialize), in: initialize.path).parameters)
        #expect(try SafetensorsFile(path: model).tensors.count == 10)

        let work = JobFolder("\(folder)/train")
        let job = Jobs.job(.train, local: LocalTraining(epochs: 3, batch: 8, rate: 0.1), data: Jobs.data("train"))
        try work.prepare(job, global: model)
        let seen = Mutex<[TrainerProgress]>([])
        let trained = try await runner.run(job, in: work.path) { progress in seen.withLock { $0.append(progress) } }
        #expect(trained.result.samples == 1437)
        #expect(try #require(trained.result.initialLoss) > 2)
        #expect(try #require(trained.result.metrics["loss"]) < 0.3)
        #expect(try #require(trained.result.metrics["accuracy"]) > 0.9)
        #expect(seen.withLock { $0.last?.fraction } == 1)

        let measure = JobFolder("\(folder)/evaluate")
        let evaluation = Jobs.job(.evaluate, data: Jobs.data("t10k"))
        try measure.prepare(evaluation, global: trained.parameters)
        let score = try await runner.run(evaluation, in: measure.path)
        #expect(score.parameters == nil && score.result.samples == 360)
        #expect(try #require(score.result.metrics["accuracy"]) > 0.9)
        #expect(try #require(score.result.metrics["recall"]) > 0.9)
      }
    }
  }

  /// Calls `body` with a runner, the path of an initial model, and a folder.
  func withModel(_ program: TrainerProgram = programs[1], _ body: (TrainerRunner, String, String) async throws -> Void) async throws {
    try await withTemporaryFolder { folder in
      try await withRunner(program) { runner in
        let initialize = JobFolder("\(folder)/initialize")
        try initialize.prepare(Jobs.job(.initialize))
        _ = try await runner.run(Jobs.job(.initialize), in: initialize.path)
        try await body(runner, initialize.global, folder)
      }
    }
  }

  @Test("The same job gives the same bytes, in another process too")
  func deterministic() async throws {
    try await withModel { resident, model, folder in
      try await withRunner(Self.programs[0]) { oneShot in
        var results: [Data?] = []
        for (index, runner) in [resident, resident, oneShot].enumerated() {
          let work = JobFolder("\(folder)/\(index)")
          let job = Jobs.job(.train, data: Jobs.data("t10k"))
          try work.prepare(job, global: model)
          let outcome = try await runner.run(job, in: work.path)
          results.append(FileManager.default.contents(atPath: try #require(outcome.parameters)))
        }
        #expect(results[0] != nil && results[0] == results[1] && results[1] == results[2])
      }
    }
  }

  @Test("Zero epochs return the base at once")
  func zeroEpochs() async throws {
    try await withModel { runner, model, folder in
      let work = JobFolder("\(folder)/zero")
      let job = Jobs.job(
        .train, local: LocalTraining(epochs: 0),
        data: Jobs.data("train", partition: .object(["iid": .object(["of": .integer(8), "index": .integer(0)])])))
      try work.prepare(job, global: model)
      let outcome = try await runner.run(job, in: work.path)
      #expect(outcome.result == TrainerMetrics(samples: 179))
      #expect(FileManager.default.contents(atPath: work.update) == FileManager.default.contents(atPath: model))
    }
  }

  @Test("A cancelled training ends by itself at the next batch", arguments: programs)
  func cancel(program: TrainerProgram) async throws {
    var patient = program
    // So long that only the trainer itself can have ended in time.
    patient.graceSeconds = 600
    try await withModel(patient) { runner, model, folder in
      let work = JobFolder("\(folder)/long")
      let job = Jobs.job(.train, local: LocalTraining(epochs: 100_000, batch: 8, rate: 0.01), data: Jobs.data("train"))
      try work.prepare(job, global: model)
      let started = Started()
      let error = try await cancelling(when: { started.value }) {
        _ = try await runner.run(job, in: work.path) { progress in if progress.fraction > 0 { started.set() } }
      }
      #expect(error == .cancelled)
      #expect(text(work.metrics).isEmpty)
    }
  }

  @Test("What it cannot do is said in a sentence")
  func refusals() async throws {
    try await withModel { runner, model, folder in
      func message(_ job: TrainerJobDescription, global: String? = nil, _ change: (JobFolder) throws -> Void = { _ in }) async throws
        -> String
      {
        let work = JobFolder("\(folder)/wrong")
        try work.prepare(job, global: global ?? model)
        try change(work)
        let error = await failure { _ = try await runner.run(job, in: work.path) }
        guard case .failed(exit: 1, _)? = error else { return "\(error.map(\.description) ?? "accepted")?" }
        return "\(try #require(error))"
      }
      var job = Jobs.job(.train, data: Jobs.data("train"))
      #expect(try await message(Jobs.job(.train)).contains("the configuration has no `data`"))
      #expect(try await message(Jobs.job(.train, data: .object(["format": .string("tiff")]))).contains("data.format"))
      #expect(try await message(Jobs.job(.train, data: Jobs.data("lost"))).contains("No such file"))
      job.model.type = "transformer"
      #expect(try await message(job).contains("unknown type \"transformer\""))
      job.model = ModelSpecification(type: "softmax", input: [1, 8, 8], classes: 10)
      #expect(try await message(job).contains("the parameters do not fit the model: wrong shape"))
      job.model = Jobs.leNet
      job.local.rate = 1e38
      #expect(try await message(job).contains("lower the rate"))
      job.local.rate = 0.1
      job.contract = 2
      #expect(try await message(job).contains("this trainer knows versions up to 1: update the trainer"))
      job.contract = 1
      let lost = try await message(job) { try FileManager.default.removeItem(atPath: $0.global) }
      #expect(lost.contains("global.safetensors"))
      let garbage = try await message(job) { try Data("{".utf8).write(to: URL(filePath: $0.task)) }
      #expect(garbage.contains("task.json"))
    }
  }
}

private final class Started: Sendable {
  private let flag = Atomic(false)
  var value: Bool { flag.load(ordering: .relaxed) }
  func set() { flag.store(true, ordering: .relaxed) }
}
