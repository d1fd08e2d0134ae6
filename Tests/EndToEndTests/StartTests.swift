import FoundationEssentials
import Glibc
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct StartTests {
    @Test("Without a broker everybody waits and says so, and goes on when it appears", .timeLimit(.minutes(1)))
    func noBroker() async throws {
      var plan = FleetPlan()
      plan.devices = 2
      try await withFleet(plan, starting: false) { fleet in
        for name in fleet.names { try fleet.start(name) }
        for name in ["central"] + plan.regions {
          let address = name == "central" ? fleet.ops : fleet.ops(of: name)
          var ready = Answer(status: 0, body: [])
          let says = try await eventually(every: .milliseconds(50)) {
            do {
              ready = try await fleet.ask("GET", "\(address)/readyz")
            } catch is TransferError {
              return false
            }
            return ready.status == 503 && ready.text.contains("not connected") && ready.text.contains("127.0.0.1:\(fleet.broker.port)")
          }
          #expect(says, "\(name): \(ready.status) \(ready.text)")
          #expect(try await fleet.ask("GET", "\(address)/healthz").status == 200)
        }
        // A task is accepted even without a broker, because it only has to be stored.
        #expect(try await fleet.push("digits", try fleet.task(rounds: 1)).status == 201)
        #expect(try await fleet.why("digits").sentence.isEmpty == false)
        for name in fleet.names { #expect(fleet.log(name).contains("\(fleet.broker.port)"), "\(name) logs the broker that it waits for") }
        try await fleet.broker.start()
        try await fleet.waitForReadiness(true)
        try await fleet.waitForCompletion("digits")
      }
    }

    @Test(
      "A port in use, a state folder in use and a wrong configuration end the program with a code and a sentence", .timeLimit(.minutes(1)))
    func cannotStart() async throws {
      var plan = FleetPlan()
      plan.devices = 1
      plan.regions = ["north"]
      try await withFleet(plan) { fleet in
        let topics = try await fleet.capture()
        // First the same ports with another state folder, then the same state folder with other ports.
        for (program, listener) in [("central", fleet.places.central), ("north", fleet.places.regions["north"])] {
          let listener = try #require(listener)
          for (flag, port) in [("--data-port", listener.data), ("--ops-port", listener.ops)] {
            let other = flag == "--data-port" ? "--ops-port" : "--data-port"
            let failed = try await run(
              fleet, program, [flag, "\(port)", other, "\(try freePort())", "--state", fleet.places.state("other-\(program)")])
            #expect(failed.status == 1, "\(program) \(flag): \(failed.output)")
            #expect(failed.output.contains("port \(port)") && failed.output.contains("in use"), "\(failed.output)")
          }
          let locked = try await run(fleet, program, ["--data-port", "\(try freePort())", "--ops-port", "\(try freePort())"])
          #expect(locked.status == 1 && locked.output.contains(fleet.places.state(program)), "\(locked.output)")
        }
        let locked = try await run(fleet, "pi-1", [])
        #expect(locked.status == 1 && locked.output.contains(fleet.places.state("pi-1")), "\(locked.output)")

        for (program, arguments, code, words) in [
          ("central", ["--data-port", "99999"], 78, "data.port"), ("central", ["--regions", "North!"], 78, "regions"),
          ("central", ["--config", "/nowhere.yaml"], 78, "/nowhere.yaml"), ("north", ["--id", "a/b"], 78, "id"),
          ("north", ["--id", "central"], 78, "root coordinator's id"), ("pi-1", ["--id", "a#b"], 78, "id"),
          ("central", ["--data-prot", "1"], 2, "Did you mean --data-port?"), ("north", ["confg", "print"], 2, "config print"),
          ("central", ["config", "print"], 0, "ops.port: \(fleet.places.central.ops)"), ("central", ["--version"], 0, Muster.version),
          ("pi-1", ["--config", "/nowhere.json"], 78, "/nowhere.json"),
          ("pi-1", ["--what"], 64, "--what"),
        ] {
          let failed = try await run(fleet, program, arguments)
          #expect(Int(failed.status) == code && failed.output.contains(words), "\(program) \(arguments): \(failed.status) \(failed.output)")
        }

        // The running programs are not affected: nothing was published under their names.
        let births = topics.heard.filter { heard in
          !heard.retained && ["central/state", "north/state"].contains { heard.topic.hasSuffix($0) }
        }
        #expect(births.isEmpty, "\(births.map { "\($0.topic) \($0.payload)" })")
        try await topics.end()
        #expect(try await fleet.push("digits", try fleet.task(rounds: 1)).status == 201)
        try await fleet.waitForCompletion("digits")
      }
    }

    /// Runs a second instance of a program with other flags until it ends.
    private func run(_ fleet: Fleet, _ program: String, _ arguments: [String]) async throws -> (status: Int32, output: String) {
      let log = fleet.folder.file("logs/second-\(UInt32.random(in: .min ... .max)).log")
      let configuration = arguments.contains("--config") ? [] : ["--config", fleet.places.configuration(program)]
      let child = try ChildProcess(fleet.places.executable(fleet.kind(program)), configuration + arguments, log: log)
      do {
        return (try await child.wait(within: .seconds(5)), child.log)
      } catch {
        child.signal(SIGKILL)
        throw error
      }
    }

    @Test(
      "When central's disk is full it says so, loses nothing, and goes on when there is space", .timeLimit(.minutes(1)),
      .enabled(if: SmallDisk.isPossible, "needs the right to mount"))
    func fullDisk() async throws {
      var plan = FleetPlan()
      plan.devices = 2
      try await withFleet(plan, starting: false) { fleet in
        let disk = try SmallDisk(at: fleet.places.state("central"))
        do {
          try await fleet.startAll()
          #expect(try await fleet.push("digits", try fleet.task(rounds: 2, gated: true)).status == 201)
          try await fleet.gate.waitForTrainers(2, "digits", round: 1)
          try disk.fill()

          let push = try await fleet.push("another", try fleet.task())
          #expect([503, 507].contains(push.status) && push.text.contains("full"), "\(push.status) \(push.text)")
          #expect(try await fleet.ask("POST", "\(fleet.ops)/v1/tasks/digits/pause").status == 507)
          let blob = try await fleet.ask("POST", "\(fleet.ops)/v1/blobs", [UInt8](repeating: 7, count: 600_000))
          #expect([503, 507].contains(blob.status), "\(blob.status) \(blob.text)")
          // Updates are refused but not lost, because the devices try again.
          try fleet.gate.open()
          let isRefused = try await eventually { fleet.plan.deviceList.allSatisfy { fleet.log($0.id).contains("507") } }
          #expect(isRefused, "the devices are told")
          #expect(try await fleet.accepted("digits", round: 1).isEmpty)
          #expect(try await fleet.ask("GET", "\(fleet.ops)/healthz").status == 200)
          #expect(try await fleet.ask("GET", "\(fleet.ops)/v1/tasks/another").status == 404)

          try disk.makeSpace()
          let done = try await fleet.waitForCompletion("digits")
          #expect(done.rounds.map(\.updates.count) == [2, 2] && done.rounds.map(\.attempts) == [1, 1])
          for device in fleet.plan.deviceList { #expect(fleet.gate.times(device.id, "digits", round: 1) == 1) }
          #expect(try await fleet.push("another", try fleet.task(rounds: 1)).status == 201)
          try await fleet.waitForCompletion("another")
        } catch {
          fleet.keepLogs(because: "\(error)")
          await fleet.end()
          try disk.unmount()
          throw error
        }
        try await fleet.kill("central")
        try disk.unmount()
      }
    }
  }
}
