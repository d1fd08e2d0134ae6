import FoundationEssentials
import Glibc
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  /// Identities and clocks: late Wills, two programs with one name, wrong clocks.
  @Suite struct IdentityTests {
    @Test("A Will that comes after the new birth leaves the node online", .timeLimit(.minutes(1)), arguments: ["pi-1", "north"])
    func staleWill(program: String) async throws {
      var plan = FleetPlan()
      (plan.regions, plan.devices) = (["north"], 2)
      try await withFleet(plan, starting: false) { fleet in
        try await fleet.broker.start()
        let proxy = try CuttingProxy(to: fleet.broker.port)
        let detour = program == "north" ? ["--broker-port", "\(proxy.port)"] : ["--broker", "127.0.0.1:\(proxy.port)"]
        for name in fleet.names { try fleet.start(name, name == program ? detour : []) }
        try await fleet.waitForDevices(2)
        #expect(try await fleet.push("digits", try fleet.task(rounds: 2, gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(2, "digits", round: 1)

        // The program dies, but the broker does not notice, because its connections hang in the proxy.
        try fleet.freeze(program)
        let lost = proxy.connections
        proxy.loseClients()
        try await fleet.kill(program)
        let capture = try await fleet.capture()
        let topics =
          program == "north"
          ? ["muster/v1/north/state", "muster/v1/central/nodes/north/state"] : ["muster/v1/north/nodes/\(program)/state"]
        let retained = try await fleet.retained()
        let old = try topics.map { try Said(retained[$0]) }
        #expect(old.allSatisfy { $0.online })
        try fleet.start(program)
        for (topic, old) in zip(topics, old) {
          _ = try await capture.first("a new birth on \(topic)") { heard in
            heard.topic == topic && (try? Said(heard.payload)).map { $0.online && $0.session != old.session } == true
          }
        }
        try await fleet.waitForDevices(2)

        // Now the broker notices that the old connections have ended.
        #expect(proxy.connections == lost)
        proxy.cut()
        for (topic, old) in zip(topics, old) {
          let isMended = try await eventually(every: .milliseconds(20)) {
            let nodes: [NodeSummary] = try await fleet.http.get(from: "\(fleet.ops)/v1/nodes")
            #expect(nodes.count { $0.state.online } == 2)
            let said = capture.heard.filter { $0.topic == topic }.compactMap { try? Said($0.payload) }
            guard let will = said.lastIndex(where: { !$0.online }) else { return false }
            return said[will].session == old.session && said.dropFirst(will).contains { $0.online && $0.session != old.session }
          }
          #expect(isMended, "the birth of \(topic) was said again after the Will of \(old.session)")
        }
        try fleet.gate.open()
        let done = try await fleet.waitForCompletion("digits")
        #expect(done.rounds.map(\.updates.count) == [2, 2] && done.rounds.map(\.attempts) == [1, 1])
        let after = try await fleet.retained()
        for (topic, old) in zip(topics, old) {
          let last = try Said(after[topic])
          #expect(last.online && last.session != old.session)
        }
      }
    }

    @Test("Two devices of one name: both sessions in a loud log, and the name counts once", .timeLimit(.minutes(1)))
    func twins() async throws {
      var plan = FleetPlan()
      (plan.regions, plan.devices) = (["north"], 2)
      try await withFleet(plan) { fleet in
        #expect(try await fleet.push("digits", try fleet.task(rounds: 2, gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(2, "digits", round: 1)
        try fleet.start("twin", ["--state", fleet.places.state("twin")], file: fleet.places.configuration("pi-1"))
        var line = ""
        let isLoud = try await eventually {
          line =
            fleet.log("pi-1").split(separator: "\n").first { $0.contains("another agent is online as north/pi-1") }.map(String.init) ?? ""
          return !line.isEmpty
        }
        #expect(isLoud && line.contains(" critical "), "\(line)")
        // Each program logs its own session when it is ready, so the line leads to both machines.
        for name in ["pi-1", "twin"] {
          var session = ""
          _ = try await eventually {
            let ready = fleet.log(name).split(separator: "\n").first { $0.contains("muster-agent is ready") } ?? ""
            session = ready.split(separator: " ").first { $0.hasPrefix("session=") }.map { String($0.dropFirst("session=".count)) } ?? ""
            return !session.isEmpty
          }
          #expect(!session.isEmpty && line.contains("session=\(session)"), "\(name) is named: \(line)")
        }
        // Both get the invitation and train, and one update counts.
        let bothTrain = try await eventually { fleet.gate.times("pi-1", "digits", round: 1) == 2 }
        #expect(bothTrain)
        try fleet.gate.open()
        let done = try await fleet.waitForCompletion("digits")
        #expect(done.rounds.allSatisfy { $0.updates.map(\.path.description) == ["north/pi-1", "north/pi-2"] })
        #expect(done.rounds.map(\.attempts) == [1, 1])
      }
    }

    static let clocks: [[String: String]] = [["pi-1": "+1d", "pi-2": "-1d"], ["north": "-1d"], ["central": "+1d"]]

    @Test(
      "Whose clock is off by a day takes part normally, also when it jumps", .timeLimit(.minutes(1)),
      .enabled(if: WrongClock.library != nil, "needs libfaketime: scripts/setup installs it"), arguments: clocks)
    func clock(offsets: [String: String]) async throws {
      var plan = FleetPlan()
      (plan.regions, plan.devices) = (["north"], 3)
      try await withFleet(plan, starting: false) { fleet in
        try await fleet.broker.start()
        var clocks: [String: WrongClock] = [:]
        for name in fleet.names {
          if let offset = offsets[name] { clocks[name] = try await WrongClock(offset, in: fleet.folder) }
          try fleet.start(name, clock: clocks[name])
        }
        try await fleet.waitForDevices(3)
        for (name, offset) in offsets {
          let day = dateText(.now + (offset.hasPrefix("-") ? -86_400 : 86_400))
          #expect(fleet.log(name).hasPrefix(day), "the clock of \(name) is wrong: \(fleet.log(name).prefix(40)), not \(day)")
        }
        #expect(try await fleet.push("digits", try fleet.task(rounds: 3, gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(3, "digits", round: 1)
        // The clocks are corrected in the middle of a round, which makes them jump.
        for clock in clocks.values { try clock.set("+0") }
        try fleet.gate.open()
        let done = try await fleet.waitForCompletion("digits")
        #expect(done.rounds.map(\.updates.count) == [3, 3, 3] && done.rounds.map(\.attempts) == [1, 1, 1])
        #expect(done.rounds.allSatisfy { $0.seconds < 60 }, "\(done.rounds.map(\.seconds))")
        for round in 1...3 { for device in fleet.plan.deviceList { #expect(fleet.gate.times(device.id, "digits", round: round) == 1) } }
      }
    }

    /// A date as in the programs' log lines, in local time.
    private func dateText(_ date: Date) -> String {
      var seconds = time_t(date.timeIntervalSince1970)
      var parts = tm()
      localtime_r(&seconds, &parts)
      var text = [CChar](repeating: 0, count: 32)
      let count = strftime(&text, text.count, "%Y-%m-%d", &parts)
      return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }
}

/// The members that all state messages have.
private struct Said: Decodable {
  var online: Bool
  var session: String

  init(_ payload: String?) throws {
    guard let payload else { throw TestSupportError("nothing is said there") }
    self = try JSON.decode(Said.self, from: payload.utf8)
  }
}
