import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  /// Programs that are stopped with SIGSTOP until the broker drops their connection, and then continue.
  @Suite struct FrozenTests {
    struct Case: Sendable, CustomTestStringConvertible {
      var program: String
      var upload: UploadTarget
      /// The topic on which the broker publishes the program's Will.
      var topic: String
      var testDescription: String { "\(program), updates to \(upload == .central ? "central" : "the region")" }
    }

    static let cases = [
      Case(program: "pi-1", upload: .central, topic: "north/nodes/pi-1/state"),
      Case(program: "north", upload: .region, topic: "north/state"),
      Case(program: "central", upload: .central, topic: "central/state"),
    ]

    @Test(
      "A program that stands still for longer than the keepalive goes on, and nothing counts twice", .timeLimit(.minutes(1)),
      arguments: cases)
    func frozen(_ frozen: Case) async throws {
      var plan = FleetPlan()
      (plan.devices, plan.environment) = (4, ["MUSTER_BROKER_KEEP_ALIVE": "5"])
      try await withFleet(plan) { fleet in
        var task = try fleet.task(rounds: 2, gated: true)
        task.upload = frozen.upload
        #expect(try await fleet.push("digits", task).status == 201)
        try await fleet.gate.waitForTrainers(4, "digits", round: 1)
        let capture = try await fleet.capture()
        try fleet.freeze(frozen.program)
        // The devices finish while the program is stopped, and try to reach it.
        try fleet.gate.open()
        _ = try await capture.first(within: .seconds(20), "the Will of \(frozen.program)") {
          $0.topic == "muster/v1/\(frozen.topic)" && $0.payload.contains("\"online\":false")
        }
        try fleet.thaw(frozen.program)
        let done = try await fleet.waitForCompletion("digits", within: .seconds(30))
        #expect(done.rounds.map(\.attempts) == [1, 1])
        for record in done.rounds {
          let expected = frozen.upload == .central ? fleet.plan.deviceList.map(\.path).sorted() : fleet.plan.regions
          #expect(record.updates.map(\.path.description) == expected)
          for device in fleet.plan.deviceList {
            #expect(fleet.gate.times(device.id, "digits", round: record.round) == 1, "\(device.id) trained round \(record.round) once")
          }
        }
        let isBack = try await eventually { try await fleet.retained()["muster/v1/\(frozen.topic)"]?.contains("\"online\":true") == true }
        #expect(isBack)
      }
    }
  }
}
