import FoundationEssentials
import MusterSchema
import MusterTensors
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct StrategyTests {
    @Test("A server optimizer's state goes on from round to round, and muster aggregate makes central's model of its inputs, bit for bit")
    func serverOptimizer() async throws {
      var plan = FleetPlan()
      plan.devices = 3
      try await withFleet(plan) { fleet in
        var task = try fleet.task(rounds: 3, epochs: 1)
        task.strategy = .composed(filters: [.init("clip", ["norm": 2])], combiner: .init("median"), optimizer: .init("adam", ["rate": 0.1]))
        #expect(try await fleet.push("adam", task).status == 201)
        let done = try await fleet.waitForCompletion("adam")
        #expect(done.models.map { $0.state == nil } == [true, false, false, false])
        #expect(Set(done.models.compactMap(\.state)).count == 3)

        func file(_ digest: Digest?) async throws -> String {
          let digest = try #require(digest)
          let path = fleet.folder.file(digest.hexadecimal)
          try await fleet.http.download("\(fleet.data)/v1/blobs/\(digest)", to: path, expecting: digest, maximumBytes: 1 << 22)
          return path
        }
        let (base, model) = (done.models[2], done.models[3])
        let record = try #require(done.rounds.last)
        var updates: [String] = []
        for update in record.updates {
          let path = fleet.folder.file(update.path.description.replacing("/", with: "-"))
          try FileManager.default.moveItem(atPath: try await file(update.digest), toPath: path)
          updates.append("\(path):\(update.weight)")
        }
        let strategy = "{filters: [{clip: 2}], combiner: median, optimizer: {adam: {rate: 0.1}}}"
        let (out, state) = (fleet.folder.file("out"), fleet.folder.file("state-out"))
        let arguments =
          ["aggregate", "--strategy", strategy, "--global", try await file(base.digest), "--out", out]
          + ["--state-in", try await file(base.state), "--state-out", state, "--metadata", "muster.round=3"]
        let answer = try await fleet.muster(arguments + ["--update"] + updates.reversed())
        #expect(answer.status == 0, "\(answer.output)")
        #expect(Digest(of: try Data(contentsOf: URL(filePath: out))) == model.digest)
        #expect(Digest(of: try Data(contentsOf: URL(filePath: state))) == model.state)
        try await replay(done, fleet)
      }
    }

    /// Checks that a replay of stored rounds gives the same models, and names removed inputs.
    private func replay(_ done: TaskDetail, _ fleet: Fleet) async throws {
      func rows(_ output: String) -> [String] {
        output.split(separator: "\n").dropFirst().map { $0.split(separator: " ").prefix(2).joined(separator: " ") }
      }
      let all = try await fleet.muster(["task", "replay", "adam"])
      #expect(all.status == 0 && rows(all.output).suffix(2) == ["2 same", "3 same"], "\(all.output)")
      let update = try #require(done.rounds.first { $0.round == 3 }?.updates.first)
      let (blob, state) = (update.digest.hexadecimal, fleet.places.state("central"))
      // The update was downloaded above, so it also has its own file.
      try FileManager.default.removeItem(atPath: "\(state)/blobs/\(blob.prefix(2))/\(blob)")
      for pack in try FileManager.default.contentsOfDirectory(atPath: "\(state)/packs").map({ "\(state)/packs/\($0)" }) {
        let head = try Data(contentsOf: URL(filePath: pack)).prefix { $0 < 0x80 }
        if String(decoding: head, as: UTF8.self).contains(blob) { try FileManager.default.removeItem(atPath: pack) }
      }
      let left = try await fleet.muster(["task", "replay", "adam"])
      #expect(left.status == 0 && rows(left.output).suffix(2) == ["2 same", "3 collected"], "\(left.output)")
      let third = try await fleet.muster(["task", "replay", "adam", "--round", "3"])
      #expect(third.status == 3 && third.output.contains("retention has removed the update of \(update.path)"), "\(third.output)")
      // As after an upgrade from version 0.1.0, which did not keep every model that would be kept today.
      let second = try #require(done.models.first { $0.round == 2 }).digest.hexadecimal
      try FileManager.default.removeItem(atPath: "\(fleet.places.state("central"))/blobs/\(second.prefix(2))/\(second)")
      #expect(try await fleet.detail("adam").models.filter(\.kept).map(\.round) == [0, 1, 3])
      let gone = try await fleet.muster(["model", "get", "adam", "--round", "2", "--out", fleet.folder.file("gone")])
      #expect(gone.status == 3 && gone.output.contains("the model of round 2 was removed"), "\(gone.output)")
    }

    @Test("A program that central's configuration allows combines; one that it does not is refused")
    func externalRule() async throws {
      let script = try TemporaryFolder()
      var plan = FleetPlan()
      plan.devices = 2
      // The rule's result is the first update.
      let program = try script.write("cp \"$1/updates/000000.safetensors\" \"$1/result.safetensors\"\n", to: "rule")
      plan.rule = ["/bin/sh", program]
      try await withFleet(plan) { fleet in
        var task = try fleet.task(rounds: 1, epochs: 1)
        task.strategy = .composed(filters: [], combiner: .init("yours"), optimizer: .init("replace"))
        let refused = try await fleet.push("yours", task)
        #expect(
          refused.status == 422
            && refused.text.contains("unknown combiner \"yours\"; known: bulyan, geometricMedian, krum, mean, median, mine"))
        task.strategy = .composed(filters: [], combiner: .init("mine"), optimizer: .init("replace"))
        #expect(try await fleet.push("mine", task).status == 201)
        let done = try await fleet.waitForCompletion("mine")
        let (model, update) = (try #require(done.models.last), try #require(done.rounds.first?.updates.first))
        var tensors: [[Float]] = []
        for digest in [model.digest, update.digest] {
          let path = fleet.folder.file(digest.hexadecimal)
          try await fleet.http.download("\(fleet.data)/v1/blobs/\(digest)", to: path, expecting: digest, maximumBytes: 1 << 22)
          let file = try SafetensorsFile(path: path)
          tensors.append(try file.tensors.map(\.name).sorted().flatMap { try file.floats(of: $0) })
        }
        #expect(tensors[0] == tensors[1])
      }
    }

    @Test("A cohort that is too small for its strategy is refused when the task is pushed")
    func constraints() async throws {
      try await withFleet(FleetPlan()) { fleet in
        var task = try fleet.task(rounds: 1, cohort: 6, minimum: 4)
        task.strategy = .named("krum")
        let answer = try await fleet.push("krum", task)
        #expect(answer.status == 422)
        #expect(answer.text.contains("krum with f = 1 needs at least 5 updates (n ≥ 2f + 3), not 4"))
      }
    }
  }
}
