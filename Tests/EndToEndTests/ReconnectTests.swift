import FoundationEssentials
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  /// The time until all programs are connected again after an outage of the broker, and the cost.
  @Suite struct ReconnectTests {
    /// Length of the outage in seconds. `Benchmarks/reconnect` sets a whole minute.
    private static let outage = ProcessInfo.processInfo.environment["MUSTER_OUTAGE_SECONDS"].flatMap { Double($0) } ?? 6

    @Test(
      "A broker that is away in mid-task: servers are back within 5 s, agents within 45 s, no agent grows by more than 2 MB",
      .timeLimit(.minutes(4)))
    func brokerAway() async throws {
      var plan = FleetPlan()
      plan.devices = 6
      try await withFleet(plan) { fleet in
        #expect(try await fleet.push("digits", try fleet.task(rounds: 2, gated: true, seconds: 600)).status == 201)
        try await fleet.gate.waitForTrainers(6, "digits", round: 1)
        let devices = fleet.plan.deviceList
        let before = try devices.map { try fleet.residentKiB($0.id) }
        var growth = 0
        func lookAtMemory() throws {
          for (device, before) in zip(devices, before) { growth = max(growth, try fleet.residentKiB(device.id) - before) }
        }

        try await fleet.broker.kill()
        let end = ContinuousClock.now + .seconds(Self.outage)
        try await fleet.waitForReadiness(false)
        // HTTP still works, so finished devices deliver.
        try fleet.gate.open("pi-1", "pi-2")
        try await fleet.waitForUpdates(["north/pi-1", "south/pi-2"], of: "digits", round: 1)
        _ = try await eventually(within: end - .now, every: .milliseconds(250)) {
          try lookAtMemory()
          return false
        }

        let returned = ContinuousClock.now
        try await fleet.broker.start()
        try await fleet.waitForReadiness(true)
        let servers = ContinuousClock.now - returned
        #expect(servers < .seconds(5))
        var back: [Duration] = []
        let areBack = try await eventually(within: .seconds(45), every: .milliseconds(50)) {
          try lookAtMemory()
          let count = devices.count { fleet.log($0.id).contains("connected again") }
          back += Array(repeating: ContinuousClock.now - returned, count: count - back.count)
          return count == devices.count
        }
        #expect(areBack && back.allSatisfy { $0 < .seconds(45) }, "\(back)")

        try fleet.gate.open()
        let done = try await fleet.waitForCompletion("digits")
        try lookAtMemory()
        #expect(growth <= 2048, "an agent grew by \(growth) KiB")
        #expect(done.rounds.map(\.updates.count) == [6, 6] && done.rounds.map(\.attempts) == [1, 1])
        for device in devices { #expect(fleet.gate.times(device.id, "digits", round: 1) == 1, "\(device.id) trained once") }
        print(
          "broker away for \(Self.outage) s: servers back after \(servers.seconds) s, agents after",
          back.map(\.seconds).sorted(), "s; the most that an agent grew by: \(growth) KiB")
      }
    }

    @Test("200 agents are back after a restart of the broker in under 15 s, none with more than 8 attempts", .timeLimit(.minutes(2)))
    func herd() async throws {
      let count = 200
      var plan = FleetPlan()
      (plan.regions, plan.devices) = (["north"], 0)
      try await withFleet(plan) { fleet in
        try await withAgents(count, of: fleet, in: "north") { host in
          try await fleet.waitForDevices(count, within: .seconds(60))
          // This task waits for one more device than there are, so that all devices have a status to publish when they are back.
          #expect(try await fleet.push("waiting", try fleet.task(rounds: 1, cohort: count + 1)).status == 201)
          let sessions = try await fleet.sessions(in: "north") { $0.count == count && $0.allSatisfy { !$0.tasks.isEmpty } }

          try await fleet.broker.kill()
          // This sleep does not wait for an event. It is the outage itself.
          try await Task.sleep(for: .seconds(3))
          let returned = ContinuousClock.now
          try await fleet.broker.start()
          let again = try await fleet.sessions(in: "north") { nodes in
            nodes.count { $0.state.online && $0.state.session != sessions[$0.state.node] } == count
          }
          let elapsed = ContinuousClock.now - returned
          #expect(again.count == count && elapsed < .seconds(15))

          let attempts = host.attempts(since: returned)
          let most = attempts.values.map(\.count).max() ?? 0
          #expect(attempts.count == count && attempts.values.allSatisfy { $0.last?.message == AgentHost.connected } && most <= 8)
          // The number of attempts in each second shows that the devices do not come all at once.
          let times = attempts.values.joined().map { ($0.time - returned).seconds }.sorted()
          let seconds = Dictionary(grouping: times) { Int($0) }.sorted { $0.key < $1.key }.map(\.value.count)
          print(
            "\(count) agents: all online after \(elapsed.seconds) s, at most \(most) attempts, \(times.count) in all, by the second \(seconds)"
          )
          let retained = try await fleet.retained()
          #expect(host.names.allSatisfy { retained["muster/v1/north/nodes/\($0)/state"]?.contains("\"online\":true") == true })
        }
      }
    }
  }
}

extension Duration {
  /// The seconds, rounded to hundredths.
  var seconds: Double { (self / .seconds(1) * 100).rounded() / 100 }
}

extension Fleet {
  /// The resident memory of a program in KiB.
  func residentKiB(_ program: String) throws -> Int {
    let status = try String(contentsOfFile: "/proc/\(try process(program).pid)/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    guard let kibibytes = line?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
      throw TestSupportError("\(program) has no memory any more")
    }
    return kibibytes
  }

  /// The sessions of a region's nodes, when the nodes satisfy the condition.
  func sessions(in region: String, within timeout: Duration = .seconds(30), _ condition: ([NodeSummary]) -> Bool) async throws -> [NodeID:
    String]
  {
    var nodes: [NodeSummary] = []
    let isSo = try await eventually(within: timeout, every: .milliseconds(100)) {
      nodes = try await http.get(from: "\(data(of: region))/v1/nodes")
      return condition(nodes)
    }
    guard isSo else {
      throw TestSupportError("the \(nodes.count) nodes of \(region) are not as wanted: \(nodes.count(where: \.state.online)) online")
    }
    return Dictionary(nodes.map { ($0.state.node, $0.state.session) }) { $1 }
  }
}
