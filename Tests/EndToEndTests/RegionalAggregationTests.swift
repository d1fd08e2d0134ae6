import FoundationEssentials
import MusterSchema
import MusterTensors
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct RegionalAggregationTests {
    @Test(
      "Regions aggregate: the model is the mean over all devices to 1e-6, and central's traffic counts regions", .timeLimit(.minutes(1)),
      arguments: ["fedavg", "uniform"])
    func meanOverRegions(strategy: String) async throws {
      var plan = FleetPlan()
      plan.devices = 4
      plan.ranges = [0..<100, 100..<300, 300..<700, 700..<1437]
      try await withFleet(plan) { fleet in
        var task = try fleet.task(rounds: 2, evaluate: EvaluationSpecification(every: 1, devices: true, seconds: 20))
        task.strategy = .named(strategy)
        task.upload = .region
        #expect(try await fleet.push("digits", task).status == 201)
        let done = try await fleet.waitForCompletion("digits")

        #expect(done.rounds.map(\.round) == [1, 2])
        for record in done.rounds {
          #expect(record.updates.map(\.path.description) == ["north", "south"] && record.updates.map(\.devices) == [2, 2])
          #expect(record.updates.reduce(0) { $0 + $1.weight } == 1437)
          #expect(record.evaluations.map(\.devices) == [2, 2] && record.deviceMetrics?["accuracy"] != nil)
        }
        let links = try await fleet.http.get([LinkTraffic].self, from: "\(fleet.ops)/v1/tasks/digits/traffic")
        #expect(links.map(\.coordinator) == [.central, NodeID(unchecked: "north"), NodeID(unchecked: "south")])
        let size = try #require(done.models.last?.bytes)
        let central = try #require(links.first?.traffic)
        // Two regions send one update each and fetch each model once, including that of round 2, which is evaluated.
        #expect((4 * size..<5 * size).contains(central.received), "\(central) of models of \(size) bytes")
        #expect(central.sent == 2 * done.models.reduce(0) { $0 + $1.bytes }, "\(central) of models of \(size) bytes")
        for link in links.dropFirst() { #expect((4 * size..<5 * size).contains(link.traffic.received), "\(link)") }
        let updates = try await devicesUpdates(of: 2, fleet)
        #expect(updates.map(\.samples).sorted() == [100, 200, 400, 737])
        let model = try #require(done.rounds.last?.result)
        try expectMean(of: updates, weighted: strategy == "fedavg", in: try await fetch(model, from: fleet.data, fleet))
        let (status, output) = try await fleet.muster(["task", "show", "digits"])
        #expect(status == 0 && output.contains("traffic") && output.contains("north received"), "\(output)")
      }
    }

    /// The updates in the regions' records, from the regions' own stores.
    private func devicesUpdates(of round: Int, _ fleet: Fleet) async throws -> [TrainedUpdate] {
      var updates: [TrainedUpdate] = []
      for region in fleet.plan.regions {
        let known = try await fleet.http.get(RegionTask.self, from: "\(fleet.ops(of: region))/v1/tasks/digits")
        let record = try #require(known.rounds.first { $0.round == round })
        #expect(record.updates.count == 2 && record.evaluations.count == 2)
        for update in record.updates {
          let file = try await fetch(update.digest, from: fleet.data(of: region), fleet)
          updates.append(TrainedUpdate(samples: update.weight, update: try SafetensorsFile(path: file)))
        }
      }
      return updates
    }

    private func fetch(_ digest: Digest, from address: String, _ fleet: Fleet) async throws -> String {
      let file = fleet.folder.file("\(digest.hexadecimal).safetensors")
      try await fleet.http.download("\(address)/v1/blobs/\(digest)", to: file, expecting: digest, maximumBytes: 1 << 20)
      return file
    }

    @Test("A strategy that needs the whole cohort refuses regions that aggregate, and says why")
    func refusal() async throws {
      try await withFleet { fleet in
        var task = try fleet.task()
        task.upload = .region
        task.strategy = .named("median")
        let answer = try await fleet.push("digits", task)
        #expect(answer.status == 422 && answer.problem?.problems?.first?.field == "upload")
        #expect(answer.text.contains("whole cohort"), "\(answer.text)")
      }
    }
  }
}
