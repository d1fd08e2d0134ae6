import FoundationEssentials
import MusterSchema
import MusterTensors
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct WholeTaskTests {
    @Test("A task of three rounds runs through two regions and six devices, and ends with a model that opens", .timeLimit(.minutes(1)))
    func wholeTask() async throws {
      try await withFleet { fleet in
        let devices = Set(fleet.plan.deviceList.map(\.path))
        let capture = try await fleet.capture()
        let task = try fleet.task(evaluate: EvaluationSpecification(every: 1, devices: true, seconds: 20))
        #expect(try await fleet.push("digits", task).status == 201)
        let done = try await fleet.waitForCompletion("digits")

        #expect(done.rounds.map(\.round) == [1, 2, 3])
        for record in done.rounds {
          #expect(record.updates.map(\.path.description).sorted() == devices.sorted(), "each contribution once")
          #expect(record.updates.allSatisfy { $0.fate == .counted })
          #expect(record.evaluations.map(\.path.description).sorted() == devices.sorted())
          #expect(record.updates.reduce(0) { $0 + $1.weight } == 1437)
          #expect(record.missed.isEmpty)
        }
        let accuracies = done.rounds.compactMap { $0.metrics?["accuracy"] }
        try #require(accuracies.count == 3)
        #expect(accuracies[2] > accuracies[0])
        #expect(accuracies[2] > 0.6)
        #expect(done.rounds.compactMap { $0.deviceMetrics?["accuracy"] }.count == 3)
        // Each round starts from the result of the round before.
        #expect(done.rounds[1].base == done.rounds[0].result && done.rounds[2].base == done.rounds[1].result)

        try await checkReaders(done, fleet)
        try await checkModel(done, fleet)
        try await checkTopics(fleet, capture)
        // All programs stop in order and publish that they are offline.
        for name in fleet.names.reversed() { #expect(try await fleet.stop(name) == 0, "\(name)") }
        let left = try await fleet.retained()
        for (topic, payload) in left where topic.hasSuffix("/state") { #expect(payload.contains("\"online\":false"), "\(topic)") }
      }
    }

    /// Reads only the current state, and only the last rounds.
    private func checkReaders(_ done: TaskDetail, _ fleet: Fleet) async throws {
      let address = "\(fleet.ops)/v1/tasks/digits"
      #expect(try await fleet.http.get(RoundState.self, from: "\(address)/now") == done.now)
      let last = try await fleet.http.get(TaskDetail.self, from: "\(address)?rounds=last:2")
      #expect(last.rounds == done.rounds.suffix(2) && last.roundsEnded == 3 && done.roundsEnded == 3)
      #expect(last.models == done.models.suffix(3), "what they began with, and what they made")
      let none = try await fleet.http.get(TaskDetail.self, from: "\(address)?rounds=last:0")
      #expect(none.rounds.isEmpty && none.roundsEnded == 3 && none.models == done.models.suffix(1))
      #expect(try await fleet.http.get(TaskDetail.self, from: "\(address)?rounds=last:1000") == done)
      for wrong in ["last:", "last:-1", "last:1001", "first:2", "", "last:99999999999999999999"] {
        let answer = try await fleet.ask("GET", "\(address)?rounds=\(wrong)")
        #expect(answer.status == 400 && answer.problem?.code == .badRequest && answer.text.contains("last:50"), "\(wrong): \(answer.text)")
      }
      #expect(try await fleet.ask("GET", "\(fleet.ops)/v1/tasks/nobody/now").problem?.code == .unknownTask)
    }

    /// Downloads the last model as a whole and in part.
    private func checkModel(_ done: TaskDetail, _ fleet: Fleet) async throws {
      let model = try #require(done.models.last)
      #expect(model.round == 3 && model.kept && model.digest == done.rounds[2].result)
      let file = fleet.folder.file("model.safetensors")
      try await fleet.http.download("\(fleet.data)/v1/blobs/\(model.digest)", to: file, expecting: model.digest, maximumBytes: 1 << 20)
      let opened = try SafetensorsFile(path: file)
      #expect(opened.tensors.reduce(0) { $0 + $1.shape.reduce(1, *) } == 19_754)
      #expect(opened.tensors.map(\.name).contains("conv1.weight"))
      #expect(opened.nonFiniteTensor() == nil)
      // curl can download it from the ops listener, too.
      let log = fleet.folder.file("curl")
      let curl = try ChildProcess("curl", ["-sf", "-r", "0-7", "-o", log, "\(fleet.ops)/v1/blobs/\(model.digest)"], log: "/dev/null")
      #expect(try await curl.wait() == 0)
      #expect(try Data(contentsOf: URL(filePath: log)).count == 8)
    }

    /// Checks the topics that docs/protocol.md describes, after the end and during the task.
    private func checkTopics(_ fleet: Fleet, _ capture: TopicCapture) async throws {
      _ = try await capture.first("the end of the round's window") {
        $0.topic == "muster/v1/central/tasks/digits/round" && $0.payload.contains("\"step\":\"completed\"")
      }
      // The coordinator clears statuses after the end. Presence and the task's last messages stay.
      let expected =
        ["central/state", "north/state", "south/state", "central/nodes/north/state", "central/nodes/south/state"]
        + ["central", "north", "south"].flatMap { ["\($0)/tasks/digits", "\($0)/tasks/digits/round"] }
        + fleet.plan.deviceList.map { "\($0.region)/nodes/\($0.id)/state" }
      var retained: [String: String] = [:]
      _ = try await eventually(every: .milliseconds(100)) {
        retained = try await fleet.retained()
        return retained.count == expected.count
      }
      #expect(retained.keys.sorted() == expected.map { "muster/v1/\($0)" }.sorted())
      for coordinator in ["central", "north", "south"] {
        let payload = try #require(retained["muster/v1/\(coordinator)/tasks/digits"])
        let descriptor = try MessageCoder.decode(TaskDescriptor.self, from: Array(payload.utf8))
        #expect(descriptor.state == .closed && descriptor.rounds == 3 && descriptor.model.type == "lenet5")
        #expect(descriptor.central == fleet.data)
      }
      for heard in capture.heard where heard.topic.hasPrefix("muster/") {
        #expect(heard.payload.isEmpty || heard.payload.hasPrefix("{\"kind\":\""), "\(heard.topic)")
        #expect(heard.payload.utf8.count <= 4096)
        if heard.topic.contains("/invitations/") { #expect(!heard.retained) }
      }
      let invited = capture.heard.filter { $0.topic.hasPrefix("muster/v1/north/nodes/pi-1/invitations/") }
      #expect(invited.compactMap { $0.decode(Invitation.self) }.contains { $0.round == 2 && $0.phase == .train && $0.ticket != nil })
      #expect(invited.compactMap { $0.decode(Invitation.self) }.allSatisfy { $0.quota == 1 && $0.minimum == 1 && $0.grant == nil })
    }
  }
}
