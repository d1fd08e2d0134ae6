import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  /// All MQTT and HTTP traffic goes through the tests' proxies, whose connections are cut, half-open, lossy or slow.
  @Suite struct BadNetworkTests {
    /// The proxies for all connections between the programs.
    struct Detours: Sendable {
      let broker: CuttingProxy
      let data: [String: CuttingProxy]

      init(_ fleet: Fleet) throws {
        broker = try CuttingProxy(to: fleet.broker.port)
        var data = ["central": try CuttingProxy(to: fleet.places.central.data)]
        for (region, listener) in fleet.places.regions { data[region] = try CuttingProxy(to: listener.data) }
        self.data = data
      }

      var all: [CuttingProxy] { [broker] + data.values }
      func set(_ weather: CuttingProxy.Weather) { for proxy in all { proxy.weather = weather } }
      func cut() { for proxy in all { proxy.cut() } }

      /// The flags with which a program uses the proxies.
      func flags(_ program: String) -> [String] {
        guard let data = data[program] else { return ["--broker", "127.0.0.1:\(broker.port)"] }
        return ["--broker-port", "\(broker.port)", "--data-advertise", data.address]
      }
    }

    private func withDetours(_ body: (Fleet, Detours) async throws -> Void) async throws {
      var plan = FleetPlan()
      plan.devices = 4
      // Half-open connections are noticed sooner than by default.
      plan.environment = ["MUSTER_BROKER_KEEP_ALIVE": "5", "MUSTER_STALL_SECONDS": "5"]
      try await withFleet(plan, starting: false) { fleet in
        let detours = try Detours(fleet)
        try await fleet.broker.start()
        for name in fleet.names { try fleet.start(name, detours.flags(name)) }
        try await fleet.waitForDevices(4)
        try await body(fleet, detours)
      }
    }

    /// - Parameter firstAttempt: whether every round must complete in its first attempt, because no device was away too long.
    private func expectComplete(
      _ fleet: Fleet, _ upload: UploadTarget, within bound: Duration, firstAttempt: Bool = true
    ) async throws {
      let begin = ContinuousClock.now
      let done = try await fleet.waitForCompletion("digits", within: bound)
      print("completed \((ContinuousClock.now - begin).seconds) s later, attempts \(done.rounds.map(\.attempts))")
      for record in done.rounds {
        let expected = upload == .central ? fleet.plan.deviceList.map(\.path).sorted() : fleet.plan.regions
        #expect(record.updates.map(\.path.description) == expected, "round \(record.round)")
        #expect(record.attempts == 1 || !firstAttempt, "\(record.missed)")
      }
    }

    private func task(_ fleet: Fleet, _ upload: UploadTarget) throws -> TaskSpecification {
      var task = try fleet.task(rounds: 2, gated: true)
      task.upload = upload
      return task
    }

    @Test("Connections that are cut again and again", .timeLimit(.minutes(2)), arguments: [UploadTarget.central, .region])
    func cut(_ upload: UploadTarget) async throws {
      try await withDetours { fleet, detours in
        #expect(try await fleet.push("digits", try task(fleet, upload)).status == 201)
        try fleet.gate.open()
        let end = ContinuousClock.now + .seconds(4)
        _ = try await eventually(within: .seconds(4), every: .milliseconds(400)) {
          detours.cut()
          return ContinuousClock.now > end
        }
        try await expectComplete(fleet, upload, within: .seconds(30))
      }
    }

    @Test(
      "Connections that are half-open: given up in time, and made anew", .timeLimit(.minutes(2)),
      arguments: [UploadTarget.central, .region])
    func halfOpen(_ upload: UploadTarget) async throws {
      try await withDetours { fleet, detours in
        #expect(try await fleet.push("digits", try task(fleet, upload)).status == 201)
        try await fleet.gate.waitForTrainers(4, "digits", round: 1)
        detours.set(.silent)
        try fleet.gate.open()
        // Waits long enough for devices to send updates that are lost.
        let sent = detours.data.values.map(\.connections).reduce(0, +)
        _ = try await eventually(within: .seconds(3)) { detours.data.values.map(\.connections).reduce(0, +) >= sent + 4 }
        detours.set(.fair)
        try await expectComplete(fleet, upload, within: .seconds(30))
      }
    }

    @Test("Lossy connections: one piece in thirty ends one", .timeLimit(.minutes(3)), arguments: [UploadTarget.central, .region])
    func lossy(_ upload: UploadTarget) async throws {
      try await withDetours { fleet, detours in
        detours.set(.lossy(1.0 / 30))
        #expect(try await fleet.push("digits", try task(fleet, upload)).status == 201)
        try fleet.gate.open()
        _ = try await eventually(within: .seconds(30)) { try await fleet.detail("digits").now.step == .completed }
        // By chance, a device's connections may have ended so often that it waits a minute before the next one. It then loses its place,
        // and a further attempt gives it back. Its update must count once anyway.
        detours.set(.fair)
        try await expectComplete(fleet, upload, within: .seconds(90), firstAttempt: false)
      }
    }

    @Test("Slow connections: 40 KB a second each", .timeLimit(.minutes(2)), arguments: [UploadTarget.central, .region])
    func slow(_ upload: UploadTarget) async throws {
      try await withDetours { fleet, detours in
        detours.set(.slow(40_000))
        #expect(try await fleet.push("digits", try task(fleet, upload)).status == 201)
        try fleet.gate.open()
        try await expectComplete(fleet, upload, within: .seconds(40))
      }
    }
  }
}
