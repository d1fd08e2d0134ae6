import Glibc
import MusterSchema
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
  /// A large update of a real round, with central killed during the upload.
  @Suite struct ResumedUploadTests {
    @Test("Central is killed in the middle of an upload of 50 MB: one part at most is sent again", .timeLimit(.minutes(3)))
    func centralKilled() async throws {
      var plan = FleetPlan()
      (plan.regions, plan.devices, plan.ranges, plan.evaluates) = (["north"], 1, [0..<32], false)
      try await withFleet(plan, starting: false) { fleet in
        let victim = Mutex<Int32?>(nil)
        let half = 25 << 20
        let proxy = try CuttingProxy(to: fleet.places.central.data) { total in
          guard total >= half else { return .pass }
          victim.withLock { victim in
            if let pid = victim { kill(pid, SIGKILL) }
            victim = nil
          }
          return .pass
        }
        let flags = ["--data-advertise", proxy.address, "--maximum-mi-b", "100"]
        try await fleet.broker.start()
        try fleet.start("central", flags)
        try fleet.start("north")
        try fleet.start("pi-1")
        try await fleet.waitForDevices(1)
        victim.withLock { $0 = try? fleet.process("central").pid }
        var task = try fleet.task(rounds: 1, epochs: 1, seconds: 120)
        task.model = ModelSpecification(type: "mlp", input: [1, 8, 8], classes: 10, hidden: [168_000])
        #expect(try await fleet.push("large", task).status == 201)
        #expect(try await fleet.process("central").wait(within: .seconds(60)) == 128 + SIGKILL)
        let before = proxy.received
        try fleet.start("central", flags)
        let record = try #require(try await fleet.waitForCompletion("large", within: .seconds(90)).rounds.first)
        let update = try #require(record.updates.first)
        #expect(update.bytes > 50_000_000)
        let again = proxy.received - update.bytes
        print("central killed at \(before) of \(update.bytes) bytes: \(again) more in all, heads and other requests included")
        // One part, the heads of fifty parts, and the other requests of agent and region to central.
        #expect(again <= (1 << 20) + (64 << 10))
        #expect(fleet.log("pi-1").contains("the upload continues"))
      }
    }
  }
}
