import FoundationEssentials
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  /// The example files of docs/operations.md. Variables and flags replace only addresses, ports and folders.
  @Suite struct ExampleConfigurationTests {
    @Test(
      "Everything starts from the files in examples/configuration, each region with a broker of its own, and trains",
      .timeLimit(.minutes(1)))
    func startsFromExamples() async throws {
      var plan = FleetPlan()
      plan.devices = 4
      try await withFleet(plan, starting: false) { fleet in
        let examples = try Checkout.file("examples/configuration")
        try await fleet.broker.start()
        var brokers: [String: BrokerProcess] = [:]
        for region in plan.regions { brokers[region] = try await BrokerProcess.started() }

        let central = fleet.places.central
        try fleet.start(
          "central", ["--data-port", "\(central.data)", "--ops-port", "\(central.ops)"], file: "\(examples)/central.yaml",
          environment: [
            "MUSTER_STATE": fleet.places.state("central"), "MUSTER_BROKER_PORT": "\(fleet.broker.port)",
            "MUSTER_DATA_ADVERTISE": fleet.data,
          ])
        for region in plan.regions {
          let listener = try #require(fleet.places.regions[region])
          try fleet.start(
            region, ["--data-port", "\(listener.data)", "--ops-port", "\(listener.ops)"], file: "\(examples)/region-\(region).yaml",
            environment: [
              "MUSTER_STATE": fleet.places.state(region), "MUSTER_BROKER_PORT": "\(brokers[region]?.port ?? 0)",
              "MUSTER_CENTRAL_BROKER_HOST": "127.0.0.1", "MUSTER_CENTRAL_BROKER_PORT": "\(fleet.broker.port)",
              "MUSTER_DATA_ADVERTISE": fleet.data(of: region),
            ])
        }
        for device in plan.deviceList {
          try fleet.start(
            device.id,
            [
              "--id", device.id, "--region", device.region, "--broker", "127.0.0.1:\(brokers[device.region]?.port ?? 0)", "--state",
              fleet.places.state(device.id),
            ], file: "\(examples)/agent.json",
            environment: [
              "MUSTER_POLICY_UPLOAD_HOSTS": "127.0.0.1",
              // The machine that runs the tests may be busy.
              "MUSTER_POLICY_MAX_LOAD": "10000",
            ].merging(device.index == 0 ? [:] : ["MUSTER_DATA": plan.data(device, fleet.places)]) { $1 })
        }
        try await fleet.waitForDevices(4)

        // The task file of the digits, pushed with the command line.
        let task = try String(contentsOfFile: try Checkout.file("examples/digits/task.yaml"), encoding: .utf8)
        let file = try fleet.folder.write(
          task.replacing("rounds: 10", with: "rounds: 2").replacing("size: 8, minimum: 6", with: "size: 4, minimum: 4"), to: "task.yaml")
        let pushed = try await fleet.muster(["task", "push", file, "--id", "digits", "--watch"])
        #expect(pushed.status == 0, "\(pushed.output)")
        let done = try await fleet.detail("digits")
        #expect(done.summary.step == .completed && done.rounds.map(\.updates.count) == [4, 4])
        #expect(done.rounds.allSatisfy { $0.metrics?["accuracy"] != nil && $0.deviceMetrics?["accuracy"] != nil })
        for name in fleet.names { #expect(try await fleet.stop(name) == 0, "\(name)") }
      }
    }

    @Test("No key of the example files is unknown, and the files say what they mean", .timeLimit(.minutes(1)))
    func printsConfiguration() async throws {
      let folder = try TemporaryFolder()
      let examples = try Checkout.file("examples/configuration")
      for (program, file, words) in [
        ("muster-central", "central.yaml", ["http://10.0.0.1:7400", "north", "south", "muster-train"]),
        ("muster-region", "region-north.yaml", ["http://10.0.1.1:7410", "10.0.0.1", "7411"]),
        ("muster-region", "region-south.yaml", ["http://10.0.2.1:7410", "10.0.0.1", "7411"]),
        ("muster-agent", "agent.json", ["10.0.1.1", "hall-3", "uploadHosts"]),
      ] {
        let child = try ChildProcess(
          "\(try Checkout.executables())/\(program)", ["config", "print", "--config", "\(examples)/\(file)"], log: folder.file(file))
        #expect(try await child.wait() == 0, "\(file): \(child.log)")
        for word in words { #expect(child.log.contains(word), "\(file): \(child.log)") }
      }
    }
  }
}
