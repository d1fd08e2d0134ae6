import FoundationEssentials
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct ForgetTests {
    @Test("A device that is gone for good is forgotten, with its retained topics; one that is there stays", .timeLimit(.minutes(1)))
    func forget() async throws {
      var plan = FleetPlan()
      plan.devices = 2
      try await withFleet(plan) { fleet in
        let (gone, here) = (fleet.plan.deviceList[0], fleet.plan.deviceList[1])
        try await fleet.kill(gone.id)
        let answer = try await fleet.ask("POST", "\(fleet.ops)/v1/nodes/\(gone.path)/forget")
        #expect(answer.status == 204, "\(answer.text)")
        let again = try await fleet.ask("POST", "\(fleet.ops)/v1/nodes/\(gone.path)/forget")
        #expect(again.status == 404 && again.text.contains("knows no such device"), "\(again.text)")
        let capture = try await fleet.capture()
        #expect(try await eventually { capture.heard.contains { $0.topic.hasSuffix("nodes/\(here.id)/state") } })
        #expect(!capture.heard.contains { $0.topic.contains("nodes/\(gone.id)/") && !$0.payload.isEmpty })
        // The device is running and announces itself again, so it is only missing for a moment.
        let refused = try await fleet.ask("POST", "\(fleet.ops)/v1/nodes/\(here.path)/forget")
        #expect(refused.status == 409 || refused.status == 204, "\(refused.text)")
        try await fleet.waitForDevices(1)
      }
    }
  }
}
