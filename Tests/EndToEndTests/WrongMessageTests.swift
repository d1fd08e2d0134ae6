import FoundationEssentials
import MusterSchema
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct WrongMessageTests {
    @Test("Garbage on every topic, also retained, harms nobody: the round in progress completes", .timeLimit(.minutes(1)))
    func garbage() async throws {
      try await harmless { fleet in
        for topic in Self.topics { try await flood(topic, Self.garbage(Self.kind(of: topic)), fleet) }
        // Topics that must not exist.
        for topic in [
          "muster/v1/central/nodes/North/state", "muster/v1/north/what", "muster/v2/north/state", "muster/v1/north/tasks/a b/round",
        ] {
          try await fleet.publish("{}", to: topic, retained: true)
        }
        for name in ["central", "north", "pi-1"] {
          #expect(fleet.log(name).contains("dropped"), "\(name) says what it dropped")
          #expect(!fleet.log(name).contains("\u{1b}["), "\(name)'s log holds no escape sequences of others")
        }
      }
    }

    @Test("A message that speaks for another node than its topic's changes nothing", .timeLimit(.minutes(1)))
    func foreignVoices() async throws {
      try await harmless { fleet in
        for topic in Self.topics {
          let kind = Self.kind(of: topic)
          let lies = ["pi-3", "south", "nobody"].flatMap { other in
            [
              #"{"kind":"\#(kind)","node":"\#(other)","coordinator":"\#(other)","online":true,"session":"x"}"#,
              #"{"kind":"\#(kind)","node":"\#(other)","coordinator":"\#(other)","online":false,"session":"x"}"#,
              #"{"kind":"\#(kind)","node":"\#(other)","task":"digits","state":"failed","round":1,"attempt":1,"phase":"train"}"#,
              #"{"kind":"\#(kind)","node":"\#(other)","task":"other","state":"declined","devices":0,"declined":9}"#,
            ]
          }
          try await flood(topic, lies.map { Array($0.utf8) }, fleet)
        }
        for name in ["central", "north", "south", "pi-1", "pi-2"] {
          #expect(!fleet.log(name).contains("critical"), "\(name) takes nobody else for a second one of itself")
        }
      }
    }

    @Test("Topics that a stranger cleared or overwrote are said again: who starts then takes part", .timeLimit(.minutes(1)))
    func cleared() async throws {
      try await harmless { fleet in
        try await fleet.kill("pi-1")
        try await fleet.kill("pi-2")
        for region in fleet.plan.regions {
          let payload: [UInt8] = region == "north" ? [] : Array("garbage".utf8)
          for topic in ["tasks/digits", "tasks/digits/round", "state"] {
            try await fleet.publish(payload, to: "muster/v1/\(region)/\(topic)", retained: true)
            try await fleet.publish(payload, to: "muster/v1/central/\(topic)", retained: true)
          }
        }
        try fleet.start("pi-1")
        try fleet.start("pi-2")
      }
    }

    /// Runs a task of two rounds, disturbs it during its first round, and checks that it is not affected.
    private func harmless(_ disturb: (Fleet) async throws -> Void) async throws {
      var plan = FleetPlan()
      plan.devices = 4
      try await withFleet(plan) { fleet in
        #expect(try await fleet.push("digits", try fleet.task(rounds: 2, gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(4, "digits", round: 1)
        try await disturb(fleet)
        for name in fleet.names { #expect(try fleet.process(name).exitStatus == nil, "\(name) lives") }
        let during = try await fleet.detail("digits")
        #expect(during.summary.step == .training && during.summary.attempt == 1)
        try fleet.gate.open()
        let done = try await fleet.waitForCompletion("digits", within: .seconds(25))
        #expect(done.rounds.map(\.updates.count) == [4, 4])
        #expect(done.rounds.map(\.attempts) == [1, 1])
        for name in fleet.names { #expect(try fleet.process(name).exitStatus == nil, "\(name) lives") }
      }
    }

    private func flood(_ topic: String, _ payloads: [[UInt8]], _ fleet: Fleet) async throws {
      for payload in payloads {
        for retained in [false, true] { try await fleet.publish(payload, to: topic, retained: retained) }
      }
    }

    /// The topics of a running task, with one node of each kind.
    private static let topics = [
      "central/state", "central/tasks/digits", "central/tasks/digits/round", "central/nodes/north/state",
      "central/nodes/north/tasks/digits",
      "central/nodes/north/invitations/digits", "north/state", "north/tasks/digits", "north/tasks/digits/round", "north/nodes/pi-1/state",
      "north/nodes/pi-1/tasks/digits", "north/nodes/pi-1/invitations/digits",
    ].map { "muster/v1/\($0)" }

    private static func kind(of topic: String) -> String {
      let levels = topic.split(separator: "/")
      switch (levels[3], levels[levels.count - 2], levels[levels.count - 1]) {
      case ("state", _, _): return "coordinator-state"
      case (_, _, "state"): return "node-state"
      case (_, _, "round"): return "round-state"
      case (_, "invitations", _): return "invitation"
      case ("nodes", _, _): return "node-status"
      default: return "task"
      }
    }

    private static func garbage(_ kind: String) -> [[UInt8]] {
      let texts = [
        #"{"kind":"\#(kind)","task":"another","node":"pi-1","round":-1,"attempt":9223372036854775807,"state":"done","phase":"train"}"#,
        #"{"kind":"\#(kind)","task":"digits","round":1e400,"attempt":1,"secondsLeft":-1e308,"node":"pi-1"}"#,
        #"{"kind":"\#(kind)","protocol":2,"task":"digits","node":"pi-1"}"#, #"{"kind":"nothing"}"#, #"{"kind":"\#(kind)"}"#, #"{"kind":3}"#,
        #"{"kind":"\#(kind)","task":"a/b#+","node":"../../etc","coordinator":""}"#, "\u{1b}[31mred\u{7}", "null", "[]", "{", "\"\"",
      ]
      return texts.map { Array($0.utf8) } + [
        [0xff, 0x00, 0xc3, 0x28], [UInt8](repeating: UInt8(ascii: "["), count: 4000), [UInt8](repeating: UInt8(ascii: "x"), count: 5000),
        [UInt8](repeating: UInt8(ascii: "x"), count: 100_000),
      ]
    }
  }
}
