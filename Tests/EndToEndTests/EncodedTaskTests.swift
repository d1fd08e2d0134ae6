import FoundationEssentials
import MusterSchema
import MusterTensors
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct EncodedTaskTests {
    /// Trains the digits with an encoding.
    private func run(
      _ name: String, _ encoding: EncodingSpecification, _ fleet: Fleet, rounds: Int = 5, upload: UploadTarget = .central
    ) async throws -> TaskDetail {
      var task = try fleet.task(rounds: rounds, epochs: 4, evaluate: EvaluationSpecification(every: 1, devices: upload == .region))
      task.encoding = encoding
      task.upload = upload
      task.local.rate = 0.05
      #expect(try await fleet.push(name, task).status == 201)
      let done = try await fleet.waitForCompletion(name, within: .seconds(90))
      for record in done.rounds { #expect(record.updates.allSatisfy { $0.fate == .counted } && record.missed.isEmpty) }
      return done
    }

    private func accuracy(_ task: TaskDetail) throws -> Double { try #require(task.rounds.last?.metrics?["accuracy"]) }
    private func bytes(_ task: TaskDetail) -> Int { task.rounds.flatMap(\.updates).reduce(0) { $0 + $1.bytes } }

    @Test("int8 and float16 lose no more than a point of accuracy, and send a quarter and a half", .timeLimit(.minutes(4)))
    func accuracy() async throws {
      var plan = FleetPlan()
      plan.devices = 4
      try await withFleet(plan) { fleet in
        let plain = try await run("plain", .float32, fleet)
        let small = try await run("small", .int8, fleet)
        let half = try await run("half", .float16, fleet)
        let full = try accuracy(plain)
        #expect(full > 0.85)
        for encoded in [small, half] {
          let own = try accuracy(encoded)
          #expect(own >= full - 0.01, "\(own) and \(full)")
        }
        #expect(Double(bytes(small)) < 0.3 * Double(bytes(plain)), "\(bytes(small)) and \(bytes(plain))")
        #expect(Double(bytes(half)) < 0.55 * Double(bytes(plain)), "\(bytes(half)) and \(bytes(plain))")
        let model = try #require(small.models.last)
        let wire = try #require(model.wire)
        #expect(wire.bytes * 3 < model.bytes)
        // The rounds' bases are the models that central keeps, not the encoded copies.
        #expect(small.rounds[1].base == small.rounds[0].result)

        let (status, output) = try await fleet.muster(["task", "show", "small"])
        #expect(status == 0 && output.contains("int8") && output.contains("saved") && output.contains("instead of"), "\(output)")
        let file = fleet.folder.file("got.safetensors")
        #expect(try await fleet.muster(["model", "get", "small", "--out", file]).status == 0)
        #expect(try SafetensorsFile(path: file).tensors.allSatisfy { $0.dtype == .f32 })
        #expect(try await fleet.muster(["task", "replay", "small"]).status == 0)
      }
    }

    @Test("top-k learns from a tenth of the changes, and each device keeps the rest until the task ends", .timeLimit(.minutes(3)))
    func sparse() async throws {
      var plan = FleetPlan()
      plan.devices = 4
      try await withFleet(plan) { fleet in
        let done = try await run("sparse", .topK(fraction: 0.1), fleet, rounds: 8)
        #expect(try accuracy(done) > 0.8)
        let size = try #require(done.models.last?.bytes)
        #expect(done.models.allSatisfy { $0.wire == nil })
        #expect(bytes(done) < done.rounds.count * 4 * size / 4, "\(bytes(done))")
        let left = try await eventually {
          try fleet.plan.deviceList.allSatisfy {
            try FileManager.default.contentsOfDirectory(atPath: "\(fleet.places.state($0.id))/residuals").isEmpty
          }
        }
        #expect(left, "what was left out goes when the task ends")
      }
    }

    @Test("Regions that aggregate take encoded updates, and give central the mean of them", .timeLimit(.minutes(3)))
    func regions() async throws {
      var plan = FleetPlan()
      plan.devices = 4
      try await withFleet(plan) { fleet in
        let done = try await run("regional", .int8, fleet, rounds: 4, upload: .region)
        #expect(try accuracy(done) > 0.8)
        for record in done.rounds { #expect(record.updates.map(\.devices) == [2, 2] && record.evaluations.map(\.devices) == [2, 2]) }
        let (status, output) = try await fleet.muster(["task", "show", "regional"])
        #expect(status == 0 && output.contains("saved"), "\(output)")
      }
    }
  }
}
