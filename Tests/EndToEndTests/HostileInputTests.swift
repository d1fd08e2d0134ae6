import FoundationEssentials
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct HostileInputTests {
    @Test(
      "A fleet that is bombarded over MQTT and HTTP while it trains finishes its task, answers everything, and its memory comes back",
      .timeLimit(.minutes(3)))
    func bombardment() async throws {
      var plan = FleetPlan()
      plan.devices = 4
      try await withFleet(plan) { fleet in
        let capture = try await fleet.capture()
        #expect(try await fleet.push("digits", try fleet.task(rounds: 3, gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(4, "digits", round: 1)
        let heard = try await capture.first("an invitation") { $0.topic.hasSuffix("/nodes/pi-1/invitations/digits") }
        let invitation = try #require(heard.decode(Invitation.self))
        try await capture.end()

        let hostile = HostileClient(fleet: fleet, invitation: invitation)
        // The first wave makes allocators and caches grow. A leak grows with every further wave; an allocator that takes more memory once
        // does not.
        try await hostile.attack()
        let servers = ["central"] + fleet.plan.regions
        let lines = servers.map { fleet.log($0).split(separator: "\n").count }
        var memory = [try await settledMemory(of: servers, in: fleet)]
        for _ in 0..<3 {
          try await hostile.attack()
          memory.append(try await settledMemory(of: servers, in: fleet))
        }
        for (index, name) in servers.enumerated() {
          let sizes = memory.map { $0[index] }
          let (grown, said) = (zip(sizes.dropFirst(), sizes).map(-), fleet.log(name).split(separator: "\n").count - lines[index])
          print("hostile input: \(name): \(sizes[0]) KiB, with each further wave \(grown) KiB more, \(said) lines in the log")
          #expect(grown.min() ?? .max < 1024, "\(name) grew from \(sizes[0]) KiB with each wave: \(grown)")
          #expect(said < 150, "\(name) wrote \(said) lines")
        }
        print(
          "hostile input: \(hostile.messages) messages, \(hostile.requests) requests, answers \(hostile.statuses.sorted { $0.key < $1.key })"
        )

        // Refusals and drops are logged, and the lines contain no secrets and no control characters.
        for name in servers {
          #expect(fleet.log(name).contains("a message was dropped"), "\(name) says what it dropped")
          #expect(fleet.log(name).contains("refused: "), "\(name) says what it refused")
          for secret in [invitation.ticket?.text, "\u{1b}"] { #expect(secret.map { !fleet.log(name).contains($0) } ?? true) }
        }
        for name in fleet.names { #expect(try fleet.process(name).exitStatus == nil, "\(name) lives") }
        let during = try await fleet.detail("digits")
        #expect(during.summary.step == .training && during.summary.round == 1 && during.summary.attempt == 1)

        try fleet.gate.open()
        let done = try await fleet.waitForCompletion("digits")
        #expect(done.rounds.map(\.attempts) == [1, 1, 1])
        for round in done.rounds {
          #expect(round.updates.map { "\($0.path)" } == ["north/pi-1", "north/pi-3", "south/pi-2", "south/pi-4"])
          #expect(round.updates.allSatisfy { $0.fate == .counted && $0.weight > 1 } && round.missed.isEmpty)
        }
        #expect(try await fleet.http.get([TaskSummary].self, from: "\(fleet.ops)/v1/tasks").map(\.task.rawValue) == ["digits"])
      }
    }

    /// Resident memory in KiB: the lowest value over some time, so that memory that is freed late does not count.
    private func settledMemory(of names: [String], in fleet: Fleet) async throws -> [Int] {
      var least = [Int](repeating: .max, count: names.count)
      var steady = 0
      _ = try await eventually(within: .seconds(12), every: .milliseconds(250)) {
        var fell = false
        for (index, name) in names.enumerated() {
          let now = try residentKiB(try fleet.process(name).pid)
          if now < least[index] { (least[index], fell) = (now, true) }
        }
        steady = fell ? 0 : steady + 1
        return steady >= 8
      }
      return least
    }

    private func residentKiB(_ pid: Int32) throws -> Int {
      let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
      let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
      return try #require(Int(line.split(separator: " ", omittingEmptySubsequences: true).dropFirst().first ?? ""))
    }
  }
}
