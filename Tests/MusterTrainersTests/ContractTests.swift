import FoundationEssentials
import Glibc
import MusterSchema
import MusterTensors
import Testing

@testable import MusterTrainers

@Suite struct ContractTests {
  @Test("task.json has the contract's fields")
  func task() throws {
    let job = TrainerJobDescription(
      .train, task: Jobs.task, round: 3, model: Jobs.leNet, local: LocalTraining(epochs: 5, batch: 8, rate: 0.1), seed: .max,
      data: .object(["format": .string("idx"), "seed": .unsigned(.max), "scale": .number(0.5), "more": .array([.null, .bool(true)])]))
    let text = String(decoding: try JSON.encode(job), as: UTF8.self)
    #expect(
      text == #"{"contract":1,"data":{"format":"idx","more":[null,true],"scale":0.5,"seed":18446744073709551615},"job":"train","#
        + #""local":{"batch":8,"epochs":5,"momentum":0,"proximal":0,"rate":0.1,"seed":1,"weightDecay":0},"#
        + #""model":{"classes":10,"input":[1,8,8],"type":"lenet5"},"round":3,"seed":18446744073709551615,"task":"digits"}"#)
    #expect(try JSON.decode(TrainerJobDescription.self, from: text.utf8) == job)
  }

  @Test("Preparing a folder takes away what an earlier attempt left, and keeps the state")
  func prepare() async throws {
    try await withTemporaryFolder { folder in
      let job = try Jobs.folder(.train, in: folder)
      for leftover in [job.metrics, job.update] { try Data("old".utf8).write(to: URL(filePath: leftover)) }
      try job.prepare(Jobs.job(.train), global: "\(folder)/model.safetensors", state: "\(folder)/kept/")
      #expect(text(job.metrics).isEmpty && text(job.update).isEmpty)
      #expect(try SafetensorsFile(path: job.global).floats(of: "w") == [1, 2])
      try Data("mine".utf8).write(to: URL(filePath: "\(job.state)/notes"))
      try job.prepare(Jobs.job(.evaluate), global: "\(folder)/model.safetensors", state: "\(folder)/kept")
      #expect(text("\(folder)/kept/notes") == "mine")
      #expect(text("\(job.state)/notes") == "mine")
      #expect(throws: TrainerError.self) { try job.prepare(Jobs.job(.train), global: "\(folder)/nowhere") }
      #expect(throws: TrainerError.self) { try JobFolder("\(folder)/model.safetensors/job").prepare(Jobs.job(.initialize)) }
    }
  }

  @Test("A trainer's configuration has defaults, and refuses nonsense")
  func program() throws {
    let program = try JSON.decode(TrainerProgram.self, from: #"{"command":["muster-train","--resident"],"resident":true}"#.utf8)
    #expect(program == TrainerProgram(command: ["muster-train", "--resident"], resident: true, idleSeconds: 600, threads: 1))
    for text in [#"{}"#, #"{"command":[]}"#, #"{"command":[""]}"#, #"{"command":["a"],"threads":0}"#] {
      #expect(throws: (any Error).self) { try JSON.decode(TrainerProgram.self, from: text.utf8) }
    }
  }

  @Test("A trainer declares its model's buffers, and none that the model does not have")
  func buffers() async throws {
    try await withTemporaryFolder { folder in
      let work = JobFolder("\(folder)/job")
      try work.prepare(Jobs.job(.initialize))
      let job = try TrainerJob(folder: work.path, output: ProtocolOutput(descriptor: 2))
      let tensors = try ["w", "ema", "bn.running_var"].map { try Tensor(name: $0, shape: [1], floats: [1]) }
      #expect(throws: TrainerJobError.badResult(#"its muster.buffers names "em", which is not a tensor of the model"#)) {
        try job.finish(tensors, buffers: ["w", "em"], metrics: TrainerMetrics(samples: 0))
      }
      try job.finish(tensors, buffers: ["ema"], metrics: TrainerMetrics(samples: 0))
      let file = try SafetensorsFile(path: work.global)
      #expect(try file.buffers().contains("ema") && !file.buffers().contains("bn.running_var") && file.problemAsModel() == nil)
      try job.finish(tensors, metrics: TrainerMetrics(samples: 0))
      #expect(try SafetensorsFile(path: work.global).metadata.isEmpty)
    }
  }

  @Test("Metrics that make no sense are refused")
  func metrics() {
    #expect(TrainerMetrics(samples: 1, metrics: ["loss": 0.1], initialLoss: 2).problem(for: .train) == nil)
    #expect(TrainerMetrics(samples: 0).problem(for: .initialize) == nil)
    let wrong: [TrainerMetrics] = [
      TrainerMetrics(samples: 0), TrainerMetrics(samples: -1), TrainerMetrics(samples: .infinity),
      TrainerMetrics(samples: 1, metrics: ["loss": .nan]), TrainerMetrics(samples: 1, metrics: ["": 1]),
      TrainerMetrics(samples: 1, metrics: ["a\nb": 1]), TrainerMetrics(samples: 1, initialLoss: -.infinity),
      TrainerMetrics(samples: 1, metrics: Dictionary(uniqueKeysWithValues: (0...64).map { ("m\($0)", 1.0) })),
    ]
    for metrics in wrong { #expect(metrics.problem(for: .train) != nil) }
  }

  @Test("What a trainer does to its model changes nobody else's file")
  func copies() async throws {
    try await withTemporaryFolder { folder in
      let original = URL(filePath: "\(folder)/model")
      try Data([1, 2, 3]).write(to: original)
      let job = JobFolder("\(folder)/job")
      try job.prepare(Jobs.job(.train), global: original.path)
      #expect(try Data(contentsOf: URL(filePath: job.global)) == Data([1, 2, 3]))
      #expect(chmod(job.global, 0o600) == 0)
      let file = open(job.global, O_WRONLY)
      #expect(write(file, "x", 1) == 1)
      close(file)
      #expect(try Data(contentsOf: original) == Data([1, 2, 3]))
    }
  }
}

@Suite struct CapabilityTests {
  @Test("Our own trainers say what they know, others what their owner says")
  func capabilities() throws {
    let programs = [
      "built-in": TrainerProgram(command: ["/opt/muster/muster-train", "--resident"], resident: true),
      "onnx": TrainerProgram(command: ["muster-train", "onnx", "--resident"], resident: true),
      "pytorch": try JSON.decode(TrainerProgram.self, from: #"{"command":["python3"],"models":["lenet5"],"version":"2.15.0"}"#.utf8),
      "mine": TrainerProgram(command: ["/opt/mine"]),
    ]
    let capabilities = Capabilities(of: programs)
    #expect(capabilities.trainers == ["built-in", "mine", "onnx", "pytorch"])
    #expect(capabilities.models == ["built-in": ["softmax", "mlp", "lenet5"], "onnx": ["step:onnx"], "pytorch": ["lenet5"]])
    #expect(capabilities.versions == ["built-in": Muster.version, "onnx": Muster.version, "pytorch": "2.15.0"])
    #expect(Capabilities(of: ["mine": TrainerProgram(command: ["/opt/mine"])]).models == nil)
  }
}
