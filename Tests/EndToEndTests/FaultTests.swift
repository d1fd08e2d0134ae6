import FoundationEssentials
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct FaultTests {
    private func plan(_ devices: Int, late: Set<String> = []) -> FleetPlan {
      var plan = FleetPlan()
      plan.devices = devices
      plan.late = late
      return plan
    }

    @Test(
      "An agent killed mid-round is named by why and replaced by an idle one, also by one of another region", .timeLimit(.minutes(1)),
      arguments: [true, false])
    func replacement(fromOwnRegion: Bool) async throws {
      // Seven devices for six places: the last one to announce itself waits.
      try await withFleet(plan(7)) { fleet in
        #expect(try await fleet.push("digits", try fleet.task(rounds: 1, cohort: 6, gated: true)).status == 201)
        let begun = try await fleet.gate.waitForTrainers(6, "digits", round: 1)
        let idle = try #require(fleet.plan.deviceList.first { !begun.contains($0.id) })
        let victim = try #require(
          fleet.plan.deviceList.first { begun.contains($0.id) && ($0.region == idle.region) == fromOwnRegion })
        try await fleet.kill(victim.id)
        var said = ""
        let isNamed = try await eventually(within: .seconds(5), every: .milliseconds(50)) {
          said = try await fleet.muster(["why", "digits"]).output
          return said.split(separator: "\n").contains { $0.contains(victim.id) && $0.contains("went offline") }
        }
        #expect(isNamed, "why says: \(said)")
        try await fleet.gate.waitForTrainers(7, "digits", round: 1)
        try fleet.gate.open()
        let record = try #require(try await fleet.waitForCompletion("digits").rounds.first)
        let expected = fleet.plan.deviceList.filter { $0 != victim }.map(\.path).sorted()
        #expect(record.updates.map(\.path.description) == expected)
        #expect(record.attempts == 1)
        #expect(record.missed.contains { $0.node.contains(victim.id) }, "\(record.missed)")
      }
    }

    @Test("Without a replacement a round completes with the minimum", .timeLimit(.minutes(1)))
    func minimum() async throws {
      try await withFleet(plan(6)) { fleet in
        #expect(try await fleet.push("digits", try fleet.task(rounds: 1, minimum: 5, gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(6, "digits", round: 1)
        try await fleet.kill("pi-3")
        try fleet.gate.open()
        let record = try #require(try await fleet.waitForCompletion("digits", within: .seconds(20)).rounds.first)
        #expect(record.updates.count == 5 && !record.updates.contains { $0.path.description == "north/pi-3" })
        #expect(record.missed.contains { $0.node.contains("pi-3") }, "\(record.missed)")
        #expect(record.seconds < 20, "the round did not wait for its deadline")
      }
    }

    @Test("An agent that starts late joins the next round", .timeLimit(.minutes(1)))
    func lateAgent() async throws {
      try await withFleet(plan(4, late: ["pi-4"])) { fleet in
        #expect(try await fleet.push("digits", try fleet.task(rounds: 2, cohort: 4, minimum: 3, gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(3, "digits", round: 1)
        try fleet.start("pi-4")
        let isReady = try await eventually(within: .seconds(10), every: .milliseconds(50)) {
          let nodes: [NodeSummary] = try await fleet.http.get(from: "\(fleet.data(of: "south"))/v1/nodes")
          return nodes.contains { $0.path.description == "south/pi-4" && $0.tasks.contains { $0.state == .ready } }
        }
        #expect(isReady, "the late device says that it is ready")
        try fleet.gate.open()
        let done = try await fleet.waitForCompletion("digits")
        #expect(done.rounds.map(\.updates.count) == [3, 4])
        #expect(done.rounds.last?.updates.contains { $0.path.description == "south/pi-4" } == true)
      }
    }

    @Test("A broker that dies mid-task without a memory comes back, and the task completes", .timeLimit(.minutes(1)))
    func brokerRestart() async throws {
      try await withFleet(plan(4)) { fleet in
        #expect(try await fleet.push("digits", try fleet.task(rounds: 2, gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(4, "digits", round: 1)
        try await fleet.broker.kill()
        try await fleet.waitForReadiness(false)
        // HTTP still works, so trained updates arrive.
        try fleet.gate.open("pi-1", "pi-2")
        try await fleet.waitForUpdates(["north/pi-1", "south/pi-2"], of: "digits", round: 1)
        try await fleet.broker.start()
        try await fleet.waitForReadiness(true)
        try fleet.gate.open()
        let done = try await fleet.waitForCompletion("digits")
        #expect(done.rounds.map(\.updates.count) == [4, 4])
        #expect(done.rounds.map(\.attempts) == [1, 1])
        for device in fleet.plan.deviceList { #expect(fleet.gate.times(device.id, "digits", round: 1) == 1, "\(device.id) trained once") }
        // Everything that the broker had forgotten has been published again.
        let retained = try await fleet.retained()
        #expect(["central", "north", "south"].allSatisfy { retained["muster/v1/\($0)/tasks/digits"] != nil })
        #expect(fleet.plan.deviceList.allSatisfy { retained["muster/v1/\($0.region)/nodes/\($0.id)/state"] != nil })
      }
    }

    @Test("A broker that stays away costs time, and no attempts", .timeLimit(.minutes(2)))
    func brokerAway() async throws {
      try await withFleet(plan(2)) { fleet in
        var task = try fleet.task(rounds: 2, gated: true)
        task.maxAttempts = 1
        #expect(try await fleet.push("digits", task).status == 201)
        try await fleet.gate.waitForTrainers(2, "digits", round: 1)
        try await fleet.broker.kill()
        // The round closes, because HTTP still works. Nodes cannot receive invitations to the next one. Central waits 10 s for an answer.
        try fleet.gate.open()
        try await fleet.wait(for: "digits", "through round 1") { $0.rounds.count == 1 }
        let gaveUp = try await eventually(within: .seconds(15), every: .milliseconds(250)) {
          let summary = try await fleet.detail("digits").summary
          return summary.step.isFinal || summary.attempt > 1
        }
        let why = try await fleet.why("digits").sentence
        #expect(!gaveUp, "\(why)")
        try await fleet.broker.start()
        // After this time, a device may wait up to half a minute before it tries again.
        #expect(try await fleet.waitForCompletion("digits", within: .seconds(60)).rounds.map(\.attempts) == [1, 1])
      }
    }

    @Test("Central killed mid-round continues the same round and attempt, and keeps what it accepted", .timeLimit(.minutes(1)))
    func centralKilled() async throws {
      try await withFleet(plan(6)) { fleet in
        #expect(try await fleet.push("digits", try fleet.task(rounds: 2, gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(6, "digits", round: 1)
        try fleet.gate.open("pi-1", "pi-2")
        try await fleet.waitForUpdates(["north/pi-1", "south/pi-2"], of: "digits", round: 1)
        try await fleet.kill("central")
        // Some devices finish while central cannot accept their updates.
        try fleet.gate.open("pi-3", "pi-4")
        try fleet.start("central")
        let again = try await fleet.wait(for: "digits", "there again") { _ in true }
        #expect(again.summary.round == 1 && again.summary.attempt == 1 && again.summary.step == .training)
        #expect(Set(["north/pi-1", "south/pi-2"]).isSubset(of: try await fleet.accepted("digits", round: 1)))
        try fleet.gate.open()
        try await expectUndisturbed(fleet)
      }
    }

    @Test("A region killed mid-round continues its part of the same round", .timeLimit(.minutes(1)))
    func regionKilled() async throws {
      try await withFleet(plan(6)) { fleet in
        #expect(try await fleet.push("digits", try fleet.task(rounds: 2, gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(6, "digits", round: 1)
        try await fleet.kill("north")
        // Its devices upload to central anyway.
        try fleet.gate.open("pi-1", "pi-2")
        try await fleet.waitForUpdates(["north/pi-1", "south/pi-2"], of: "digits", round: 1)
        let isNamed = try await eventually(within: .seconds(5), every: .milliseconds(50)) {
          try await fleet.why("digits").sentence.contains("north")
        }
        #expect(isNamed, "why names the region that is gone")
        try fleet.start("north")
        try await fleet.waitForDevices(6)
        try fleet.gate.open()
        try await expectUndisturbed(fleet)
      }
    }

    @Test("Central, then a region, killed in the same round: the round continues", .timeLimit(.minutes(1)))
    func bothKilled() async throws {
      try await withFleet(plan(6)) { fleet in
        #expect(try await fleet.push("digits", try fleet.task(rounds: 2, gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(6, "digits", round: 1)
        try fleet.gate.open("pi-1")
        try await fleet.waitForUpdates(["north/pi-1"], of: "digits", round: 1)
        try await fleet.kill("central")
        try await fleet.kill("south")
        try fleet.gate.open("pi-2")
        try fleet.start("south")
        try fleet.start("central")
        try await fleet.waitForDevices(6)
        try await fleet.waitForUpdates(["north/pi-1", "south/pi-2"], of: "digits", round: 1)
        try fleet.gate.open()
        try await expectUndisturbed(fleet)
      }
    }

    /// Expects that both rounds completed in one attempt with all updates, and no device trained twice.
    private func expectUndisturbed(_ fleet: Fleet) async throws {
      let done = try await fleet.waitForCompletion("digits")
      #expect(done.rounds.map(\.attempts) == [1, 1])
      for record in done.rounds {
        #expect(record.updates.map(\.path.description) == fleet.plan.deviceList.map(\.path).sorted())
        for device in fleet.plan.deviceList {
          #expect(fleet.gate.times(device.id, "digits", round: record.round) == 1, "\(device.id) trained round \(record.round) once")
        }
      }
    }
  }
}

extension Fleet {
  /// Waits until `/readyz` of central and all regions reports `wanted`.
  func waitForReadiness(_ wanted: Bool) async throws {
    let isSo = try await eventually(within: .seconds(20), every: .milliseconds(50)) {
      for address in [ops] + plan.regions.map(ops(of:)) {
        if try await (ask("GET", "\(address)/readyz").status == 200) != wanted { return false }
      }
      return true
    }
    guard isSo else { throw TestSupportError("readyz is not \(wanted) everywhere") }
  }
}
