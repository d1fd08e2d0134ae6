import FoundationEssentials
import Glibc
import MusterSchema
import MusterTensors
import MusterTrainers
import Testing

enum OnnxRuntime {
  static let library = ProcessInfo.processInfo.environment["MUSTER_ONNXRUNTIME"].flatMap { access($0, R_OK) == 0 ? $0 : nil }
}

/// Tests `muster-train onnx` with a real ONNX Runtime. MUSTER_ONNXRUNTIME is the path of libonnxruntime.so; `scripts/test` installs one.
@Suite(
  .timeLimit(.minutes(2)), .enabled(if: OnnxRuntime.library != nil, "MUSTER_ONNXRUNTIME names no libonnxruntime.so: scripts/test sets it"))
struct OnnxTests {
  static let step = "\(Jobs.digits)/../../trainers/onnxruntime/lenet5.onnx"

  static func program(resident: Bool = false, library: String? = OnnxRuntime.library) -> TrainerProgram {
    TrainerProgram(
      command: ["muster-train", "onnx"] + (resident ? ["--resident"] : []), resident: resident,
      // Neither Python nor any other program can be found.
      environment: ["PATH": "/nowhere", "MUSTER_ONNXRUNTIME": library ?? ""])
  }

  static func job(
    _ kind: TrainerJobDescription.Kind, local: LocalTraining = LocalTraining(epochs: 2, batch: 8, rate: 0.1), part: String = "train"
  ) throws -> TrainerJobDescription {
    var job = Jobs.job(
      kind, local: local, seed: 7,
      data: Jobs.data(part, partition: .object(["range": .object(["from": .integer(0), "to": .integer(203)])])))
    job.model.step = TrainingStep(blob: Digest(of: Array(try Data(contentsOf: URL(filePath: step)))))
    return job
  }

  /// Runs a job with the built-in trainer's initial model.
  func run(_ job: TrainerJobDescription, _ runner: TrainerRunner, in folder: String, step: String? = step) async throws -> TrainerOutcome {
    let model = "\(folder)/initial/global.safetensors"
    if access(model, R_OK) != 0 {
      let initial = JobFolder("\(folder)/initial")
      try initial.prepare(Jobs.job(.initialize))
      try await withRunner(TrainerProgram(command: ["muster-train"])) { _ = try await $0.run(Jobs.job(.initialize), in: initial.path) }
    }
    let work = JobFolder("\(folder)/job-\(UInt32.random(in: 0...(.max)))")
    try work.prepare(job, global: model, step: step)
    return try await runner.run(job, in: work.path)
  }

  @Test("It trains and evaluates as the built-in trainer does, with an empty PATH, one-shot and resident", arguments: [false, true])
  func likeBuiltIn(resident: Bool) async throws {
    try await withTemporaryFolder { folder in
      let expected = try await withRunner(TrainerProgram(command: ["muster-train"])) { try await run(Self.job(.train), $0, in: folder) }
      let measured = try await withRunner(TrainerProgram(command: ["muster-train"])) { try await run(Self.job(.evaluate), $0, in: folder) }
      try await withRunner(Self.program(resident: resident)) { runner in
        let trained = try await run(Self.job(.train), runner, in: folder)
        #expect(trained.result.samples == 203)
        expectClose(trained.result.metrics["loss"], expected.result.metrics["loss"])
        expectClose(trained.result.metrics["accuracy"], expected.result.metrics["accuracy"])
        expectClose(trained.result.initialLoss, expected.result.initialLoss)
        let (own, other) = (
          try SafetensorsFile(path: #require(trained.parameters)), try SafetensorsFile(path: #require(expected.parameters))
        )
        #expect(own.schema == other.schema)
        var difference: Float = 0
        for tensor in other.tensors {
          for (a, b) in zip(try own.floats(of: tensor.name), try other.floats(of: tensor.name)) { difference = max(difference, abs(a - b)) }
        }
        #expect(difference < 1e-4, "the largest difference is \(difference)")
        let score = try await run(Self.job(.evaluate), runner, in: folder)
        expectClose(score.result.metrics["loss"], measured.result.metrics["loss"])
        expectClose(score.result.metrics["accuracy"], measured.result.metrics["accuracy"])
        // The same job again, with the step that the trainer kept.
        let again = try await run(Self.job(.train), runner, in: folder)
        #expect(again.result == trained.result)
      }
    }
  }

  private func expectClose(_ a: Double?, _ b: Double?) {
    guard let a, let b else {
      Issue.record("a number is missing: \(String(describing: a)), \(String(describing: b))")
      return
    }
    #expect(abs(a - b) < 1e-4, "\(a), \(b)")
  }

  @Test("Smaller batches are filled up, no epochs give the base back")
  func batches() async throws {
    try await withTemporaryFolder { folder in
      let small = LocalTraining(epochs: 1, batch: 5, rate: 0.1)
      let expected = try await withRunner(TrainerProgram(command: ["muster-train"])) {
        try await run(Self.job(.train, local: small), $0, in: folder)
      }
      try await withRunner(Self.program()) { runner in
        let trained = try await run(Self.job(.train, local: small), runner, in: folder)
        expectClose(trained.result.metrics["loss"], expected.result.metrics["loss"])
        let none = try await run(Self.job(.train, local: LocalTraining(epochs: 0, batch: 8)), runner, in: folder)
        #expect(none.result.samples == 203)
      }
    }
  }

  @Test("What it cannot do is said in a sentence")
  func refusals() async throws {
    try await withTemporaryFolder { folder in
      func why(
        _ job: TrainerJobDescription, step: String? = Self.step, _ program: TrainerProgram = Self.program()
      ) async throws -> String {
        try await withRunner(program) { runner in
          do {
            _ = try await run(job, runner, in: folder, step: step)
            return "nothing"
          } catch let error as TrainerError {
            return error.log.joined(separator: "\n")
          }
        }
      }
      #expect(try await why(Self.job(.initialize)).contains("it cannot make a first model: give the task `initial: {blob: …}`"))
      #expect(
        try await why(Self.job(.train, local: LocalTraining(epochs: 1, batch: 64))).contains(
          "local.batch is 64, but the step was exported for"))
      #expect(try await why(Jobs.job(.train, data: Jobs.data("train"))).contains("the task has no model.step"))
      #expect(try await why(Self.job(.train), step: nil).contains("step.onnx: is missing"))
      let garbage = "\(folder)/garbage.onnx"
      try Data("no graph".utf8).write(to: URL(filePath: garbage))
      #expect(try await why(Self.job(.train), step: garbage).contains("ONNX Runtime: "))
      #expect(try await why(Self.job(.train), Self.program(library: "/no/libonnxruntime.so")).contains("ONNX Runtime cannot be loaded"))
      #expect(try await why(Self.job(.train), Self.program(library: "libc.so.6")).contains("is not ONNX Runtime"))
      var wild = try Self.job(.train)
      wild.local.rate = 1e30
      #expect(try await why(wild).contains("lower the rate"))
    }
  }

  @Test("Cancelled, it ends by itself")
  func cancel() async throws {
    try await withTemporaryFolder { folder in
      try await withRunner(Self.program(resident: true)) { runner in
        let job = try Self.job(.train, local: LocalTraining(epochs: 100_000, batch: 8, rate: 0.0001))
        let seen = Seen()
        let error = try await cancelling(when: { seen.isSet }) {
          let model = "\(folder)/initial/global.safetensors"
          let initial = JobFolder("\(folder)/initial")
          try initial.prepare(Jobs.job(.initialize))
          try await withRunner(TrainerProgram(command: ["muster-train"])) { _ = try await $0.run(Jobs.job(.initialize), in: initial.path) }
          let work = JobFolder("\(folder)/job")
          try work.prepare(job, global: model, step: Self.step)
          _ = try await runner.run(job, in: work.path) { _ in seen.set() }
        }
        #expect(error == .cancelled)
      }
    }
  }
}
