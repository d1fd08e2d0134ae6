import FoundationEssentials
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  /// The files that earlier versions left, in `Tests/Captured`.
  @Suite struct CapturedVersionTests {
    @Test(
      "The stores of an earlier version open: ended tasks are shown, and the one that was cut off in a round goes on with what it had",
      .timeLimit(.minutes(2)), arguments: ["0.1.0"])
    func stores(version: String) async throws {
      var plan = FleetPlan()
      (plan.regions, plan.devices) = (["north"], 3)
      try await withFleet(plan, starting: false) { fleet in
        try FileManager.default.createDirectory(atPath: "\(fleet.places.folder)/state", withIntermediateDirectories: true)
        for server in ["central", "north"] {
          try FileManager.default.copyItem(
            atPath: try Checkout.file("Tests/Captured/\(version)/\(server)"), toPath: fleet.places.state(server))
          try Data(String(repeating: "capture-", count: 4).utf8).write(to: URL(filePath: "\(fleet.places.state(server))/secret"))
          try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: "\(fleet.places.state(server))/secret")
        }
        try await fleet.broker.start()
        try fleet.start("central")
        let before = try await fleet.wait(for: "cut", "there") { _ in true }
        let round = before.rounds.count + 1
        let held = try await fleet.accepted("cut", round: round)
        #expect(held.count == 2, "\(held)")

        for task in ["ended", "regional"] {
          let detail = try await fleet.detail(task)
          #expect(detail.summary.step == .completed && detail.rounds.count == 2 && detail.models.last?.kept == true, "\(detail)")
          #expect(detail.rounds.allSatisfy { record in record.updates.reduce(0) { $0 + $1.devices } == 3 }, "\(detail.rounds)")
          #expect(try await fleet.ask("POST", "\(fleet.ops)/v1/tasks/\(task)/rounds/2/replay").text.contains("\"computed\""))
          let rows = try await fleet.http.get([ContributionRow].self, from: "\(fleet.ops)/v1/contributions?task=\(task)&limit=1000")
          let keys = rows.filter { $0.digest != nil }.map { "\($0.round) \($0.phase) \($0.node)" }
          let named = detail.rounds.flatMap { record in
            record.updates.map { "\(record.round) train \($0.path)" } + record.evaluations.map { "\(record.round) evaluate \($0.path)" }
          }
          #expect(keys.sorted() == named.sorted(), "each once")
        }

        // The region's order for the interrupted task has central's old address, where no program listens now. So it first shows its state
        // without a broker, and then receives everything again.
        try fleet.start("north", ["--broker-port", "\(try freePort())"])
        let isThere = try await eventually {
          do {
            let known: RegionTask = try await fleet.http.get(from: "\(fleet.ops(of: "north"))/v1/tasks/regional")
            return known.rounds.count == 2
          } catch is TransferError {
            return false
          }
        }
        #expect(isThere, "\(fleet.log("north"))")
        try await fleet.stop("north")
        try FileManager.default.removeItem(atPath: fleet.places.state("north"))
        for name in ["north"] + fleet.plan.deviceList.map(\.id) { try fleet.start(name) }
        let after = try await fleet.wait(for: "cut", "two rounds further", within: .seconds(60)) { $0.rounds.count > round }
        let record = after.rounds[round - 1]
        #expect(Set(held).isSubset(of: record.updates.map(\.path.description)), "\(record)")
        #expect(try await fleet.ask("POST", "\(fleet.ops)/v1/tasks/cut/cancel").status == 200)
      }
    }
  }
}
