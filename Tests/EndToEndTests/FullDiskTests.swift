import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  /// Full disks of agents and regions. Central's is tested in `StartTests`.
  @Suite(.enabled(if: SmallDisk.isPossible, "needs the right to mount")) struct FullDiskTests {
    @Test(
      "A device whose disk is full says so, the round goes on without it, and it takes part again when there is space",
      .timeLimit(.minutes(1)))
    func agent() async throws {
      var plan = FleetPlan()
      plan.devices = 3
      plan.environment = ["MUSTER_PROBE_SECONDS": "1"]
      try await withDisk(of: "pi-1", mebibytes: 40, plan) { fleet, disk in
        #expect(try await fleet.push("digits", try fleet.task(rounds: 3, minimum: 2, gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(3, "digits", round: 1)
        try disk.fill()
        try fleet.gate.open()
        let first = try #require(try await fleet.wait(for: "digits", "through round 1") { $0.rounds.count == 1 }.rounds.first)
        #expect(first.updates.map(\.path.description) == ["north/pi-3", "south/pi-2"])
        // Either comes first: the trainer that cannot write, or the agent's check of the free space, once a second.
        let reason = first.missed.first { $0.node == "north/pi-1" }?.reason ?? ""
        #expect(
          reason.contains("update.safetensors") && reason.hasSuffix(": No space left on device")
            || reason == "trainer filled the disk: less than 8 MiB is free", "\(first.missed)")
        try fleet.gate.close()
        let says = try await eventually {
          let nodes: [NodeSummary] = try await fleet.http.get(from: "\(fleet.data(of: "north"))/v1/nodes")
          return nodes.contains { $0.path.description == "north/pi-1" && $0.tasks.contains { $0.reason?.contains("disk") == true } }
        }
        #expect(says, "the device says that its disk is full")
        let status = try fleet.process("pi-1").exitStatus
        #expect(status == nil)
        try disk.makeSpace()
        let isReady = try await eventually {
          let nodes: [NodeSummary] = try await fleet.http.get(from: "\(fleet.data(of: "north"))/v1/nodes")
          return nodes.contains { $0.path.description == "north/pi-1" && $0.tasks.contains { $0.state == .ready } }
        }
        #expect(isReady, "the device is ready again")
        try fleet.gate.open()
        let done = try await fleet.waitForCompletion("digits")
        #expect(done.rounds.last?.updates.map(\.path.description) == ["north/pi-1", "north/pi-3", "south/pi-2"])
      }
    }

    @Test("When a region's disk is full its devices are told, nothing is lost, and it goes on when there is space", .timeLimit(.minutes(1)))
    func region() async throws {
      var plan = FleetPlan()
      plan.devices = 4
      try await withDisk(of: "north", mebibytes: 3, plan) { fleet, disk in
        var task = try fleet.task(rounds: 2, gated: true)
        task.upload = .region
        #expect(try await fleet.push("digits", task).status == 201)
        try await fleet.gate.waitForTrainers(4, "digits", round: 1)
        try disk.fill()
        try fleet.gate.open()
        let isRefused = try await eventually { ["pi-1", "pi-3"].allSatisfy { fleet.log($0).contains("507") } }
        #expect(isRefused, "the devices are told")
        #expect(try await fleet.ask("GET", "\(fleet.ops(of: "north"))/healthz").status == 200)
        try disk.makeSpace()
        let done = try await fleet.waitForCompletion("digits")
        #expect(done.rounds.allSatisfy { $0.updates.map(\.path.description) == ["north", "south"] })
        #expect(done.rounds.map(\.attempts) == [1, 1])
        for device in fleet.plan.deviceList { #expect(fleet.gate.times(device.id, "digits", round: 1) == 1, "\(device.id) trained once") }
      }
    }

    private func withDisk(of program: String, mebibytes: Int, _ plan: FleetPlan, _ body: (Fleet, SmallDisk) async throws -> Void)
      async throws
    {
      try await withFleet(plan, starting: false) { fleet in
        let disk = try SmallDisk(at: fleet.places.state(program), mebibytes: mebibytes)
        do {
          try await fleet.startAll()
          try await body(fleet, disk)
        } catch {
          fleet.keepLogs(because: "\(error)")
          await fleet.end()
          try disk.unmount()
          throw error
        }
        try await fleet.kill(program)
        try disk.unmount()
      }
    }
  }
}

extension EndToEnd {
  @Suite(.enabled(if: SlowDisk.isPossible, "needs a C compiler")) struct SlowDiskTests {
    @Test(
      "While a slow disk flushes a model, the server answers; no thread of the cooperative pool ever waits for one",
      .timeLimit(.minutes(1)),
      arguments: ["central", "north"])
    func flushing(program: String) async throws {
      var plan = FleetPlan()
      (plan.regions, plan.devices) = (["north"], 2)
      // A model of the digits has 79 kB.
      let disk = try await SlowDisk(bytes: 64 << 10)
      try await withFleet(plan, starting: false) { fleet in
        try await fleet.broker.start()
        for name in fleet.names { try fleet.start(name, environment: name == program ? disk.environment : [:]) }
        try await fleet.waitForDevices(2)
        var task = try fleet.task(rounds: 2)
        task.upload = .region
        #expect(try await fleet.push("digits", task).status == 201)
        #expect(try await eventually { disk.isHeld }, "\(fleet.log(program).suffix(2000))")
        let address = program == "central" ? fleet.ops : fleet.ops(of: program)
        for path in ["healthz", "v1/nodes"] { #expect(try await fleet.ask("GET", "\(address)/\(path)").status == 200) }
        #expect(disk.isHeld, "the disk is still at it")
        disk.release()
        try await fleet.waitForCompletion("digits")
        let threads = try disk.threads
        // Muster's own threads that may block, and the thread on which the database writes. Threads of the pool are called `…default-qos`.
        #expect(threads.count > 2 && threads.allSatisfy { $0 == "muster-blocking" || $0.hasSuffix("overcommit") }, "\(threads)")
      }
    }
  }
}
