import FoundationEssentials
import MusterSchema
import MusterTensors
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct FederatedResultTests {
    @Test("One round over k devices gives the mean of k independent local trainings, weighted or uniform, to 1e-6", .timeLimit(.minutes(1)))
    func meanOfLocalTrainings() async throws {
      var plan = FleetPlan()
      plan.devices = 4
      plan.ranges = [0..<100, 100..<300, 300..<700, 700..<1437]
      try await withFleet(plan) { fleet in
        try fleet.gate.open()
        let capture = try await fleet.capture()
        for strategy in ["fedavg", "uniform"] {
          var task = try fleet.task(rounds: 1, epochs: 3, gated: true)
          task.strategy = .named(strategy)
          #expect(try await fleet.push(strategy, task).status == 201)
          let done = try await fleet.waitForCompletion(strategy)
          let model = try #require(done.rounds.first?.result)
          let file = fleet.folder.file("\(strategy).safetensors")
          try await fleet.http.download("\(fleet.data)/v1/blobs/\(model)", to: file, expecting: model, maximumBytes: 1 << 20)

          let local = try await localTrainings(strategy, fleet, capture, task)
          #expect(local.map(\.samples) == [100, 200, 400, 737])
          try expectMean(of: local, weighted: strategy == "fedavg", in: file)
        }
      }
    }

    @Test("The same task under another id trains the same models, byte for byte; another local.seed trains others", .timeLimit(.minutes(1)))
    func sameAgain() async throws {
      var plan = FleetPlan()
      plan.devices = 4
      try await withFleet(plan) { fleet in
        let task = try fleet.task(rounds: 2, epochs: 1)
        var other = task
        other.local.seed = 2
        var models: [String: [Digest]] = [:]
        for (id, task) in [("first", task), ("again-7kq2xm", task), ("other", other)] {
          #expect(try await fleet.push(id, task).status == 201)
          models[id] = try await fleet.waitForCompletion(id).models.map(\.digest)
        }
        #expect(models["first"]?.count == 3 && models["first"] == models["again-7kq2xm"])
        #expect(models["first"]?[0] == models["other"]?[0] && models["first"]?[1] != models["other"]?[1])
      }
    }

    /// Trains in copies of the job folders that the agents made, without the rest of the system.
    private func localTrainings(
      _ task: String, _ fleet: Fleet, _ capture: TopicCapture, _ specification: TaskSpecification
    ) async throws -> [TrainedUpdate] {
      struct Job: Decodable {
        var seed: UInt64
        var local: MusterSchema.LocalTraining
      }
      struct Metrics: Decodable { var samples: Double }
      var trainings: [TrainedUpdate] = []
      var (seeds, rounds): (Set<UInt64>, Set<UInt64>) = ([], [])
      for device in fleet.plan.deviceList {
        let folder = fleet.gate.job(device.id, task, round: 1)
        let job = try JSON.decode(Job.self, from: try Data(contentsOf: URL(filePath: "\(folder)/task.json")))
        let invitation = capture.heard.compactMap { heard in
          heard.topic == "muster/v1/\(device.region)/nodes/\(device.id)/invitations/\(task)" ? heard.decode(Invitation.self) : nil
        }
        #expect(job.local == specification.local)
        // All devices have the same round seed, but each draws its own seed from it.
        let round = try #require(invitation.first?.seed)
        #expect(round != job.seed && seeds.insert(job.seed).inserted)
        #expect(rounds.insert(round).inserted == trainings.isEmpty)
        // With the environment that the agent gives to trainers: another variable could select numeric kernels that round differently.
        let trainer = try ChildProcess(
          "/usr/bin/env", ["-i", "PATH=/usr/bin:/bin", fleet.places.executable("muster-train"), folder],
          log: fleet.folder.file("logs/train-\(device.id).log"))
        guard try await trainer.wait(within: .seconds(20)) == 0 else { throw TestSupportError("muster-train: \(trainer.log)") }
        let metrics = try JSON.decode(Metrics.self, from: try Data(contentsOf: URL(filePath: "\(folder)/metrics.json")))
        trainings.append(TrainedUpdate(samples: metrics.samples, update: try SafetensorsFile(path: "\(folder)/update.safetensors")))
      }
      return trainings
    }
  }
}

/// A device's update, with its number of samples.
struct TrainedUpdate {
  var samples: Double
  var update: SafetensorsFile
}

func expectMean(of trainings: [TrainedUpdate], weighted: Bool, in file: String) throws {
  let model = try SafetensorsFile(path: file)
  let weights = trainings.map { weighted ? $0.samples : 1 }
  let sum = weights.reduce(0, +)
  var difference = 0.0
  var spread = 0.0
  for tensor in model.tensors {
    let found = try model.floats(of: tensor.name)
    let updates = try trainings.map { try $0.update.floats(of: tensor.name) }
    for index in found.indices {
      let mean = zip(updates, weights).reduce(0) { $0 + Double($1.0[index]) * $1.1 } / sum
      difference = max(difference, abs(Double(found[index]) - mean))
      spread = max(spread, abs(Double(updates[0][index]) - Double(updates[1][index])))
    }
  }
  #expect(model.tensors.count == 10)
  #expect(difference <= 1e-6, "the largest difference is \(difference)")
  #expect(spread > 0.01, "the devices' own models differ")
}
