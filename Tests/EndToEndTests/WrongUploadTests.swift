import FoundationEssentials
import MusterSchema
import MusterTensors
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  @Suite struct WrongUploadTests {
    @Test("Updates that are wrong, late, or another's are refused with the reason; the round goes on without them", .timeLimit(.minutes(1)))
    func wrongUpdates() async throws {
      var plan = FleetPlan()
      plan.devices = 4
      try await withFleet(plan) { fleet in
        let capture = try await fleet.capture()
        #expect(try await fleet.push("digits", try fleet.task(rounds: 2, minimum: 3, gated: true)).status == 201)
        try await fleet.gate.waitForTrainers(4, "digits", round: 1)
        func invitation(_ device: String) async throws -> Invitation {
          let heard = try await capture.first("the invitation of \(device)") { $0.topic.hasSuffix("/nodes/\(device)/invitations/digits") }
          return try #require(heard.decode(Invitation.self))
        }
        let mine = try await invitation("pi-1")
        let other = try await invitation("pi-3")
        // This device will never deliver, so that its place in round 1 stays empty.
        let late = try await invitation("pi-4")
        try await fleet.kill("pi-4")

        let base = fleet.folder.file("base.safetensors")
        try await fleet.http.download("\(fleet.data)\(mine.base.path)", to: base, expecting: mine.base.digest, maximumBytes: 1 << 20)
        let forge = try Forge(base: base, invitation: mine)

        // Uploads that are not admitted.
        let good = try forge.update()
        for ticket in [nil, Ticket("nonsense"), other.ticket, late.ticket] {
          #expect(try await put(good, to: mine.upload, ticket, fleet).status == 403)
        }
        #expect(try await put(good, to: mine.upload.replacing("/rounds/1/", with: "/rounds/2/"), mine.ticket, fleet).status == 403)
        #expect(try await put(good, to: mine.upload.replacing("/digits/", with: "/nothing/"), mine.ticket, fleet).status == 404)
        for path in ["north", "north/pi-1/x", "north/%23", "..%2fnorth", "north//pi-1", ""] {
          let url = "\(fleet.data)/v1/tasks/digits/rounds/1/updates/\(path)"
          #expect([400, 403, 404].contains(try await put(good, to: url, mine.ticket, fleet).status), "\(path)")
        }
        // Admitted uploads that are wrong.
        for (what, body, words) in try forge.wrongUpdates() {
          let answer = try await put(body, to: mine.upload, mine.ticket, fleet)
          #expect(answer.status == 422, "\(what): \(answer.status) \(answer.text)")
          for word in words { #expect(answer.text.contains(word), "\(what): \(answer.text)") }
        }
        let digest = try await fleet.ask(
          "PUT", mine.upload, good,
          headers: [("Authorization", "Bearer \(mine.ticket?.text ?? "")"), ("Content-Digest", Digest(of: [1]).contentDigest)])
        #expect(digest.status == 422 && digest.problem?.code == .wrongDigest, "\(digest)")
        let large = try await put([UInt8](repeating: 0, count: 3 << 20), to: mine.upload, mine.ticket, fleet)
        #expect(large.status == 413, "\(large.status) \(large.text)")
        #expect(try await fleet.accepted("digits", round: 1).isEmpty)

        // The device is not affected by uploads in its name. After its own upload, its place is taken.
        try fleet.gate.open()
        try await fleet.wait(for: "digits", "in round 2") { $0.rounds.count == 1 }
        let again = try await put(good, to: mine.upload, mine.ticket, fleet)
        #expect([409, 410].contains(again.status), "\(again.status) \(again.text)")
        let closed = try await put(good, to: late.upload, late.ticket, fleet)
        #expect(closed.status == 410 && closed.text.contains("round"), "\(closed.status) \(closed.text)")

        let done = try await fleet.waitForCompletion("digits")
        #expect(done.rounds.map(\.updates.count) == [3, 3])
        #expect(done.rounds.allSatisfy { $0.updates.allSatisfy { $0.fate == .counted && $0.weight > 1 } })
        #expect(try await put(good, to: late.upload, late.ticket, fleet).status == 410)
        #expect(fleet.log("central").contains(mine.ticket?.text ?? "–") == false, "a ticket is never logged")
      }
    }

    private func put(_ body: [UInt8], to url: String, _ ticket: Ticket?, _ fleet: Fleet) async throws -> Answer {
      try await fleet.ask("PUT", url, body, headers: ticket.map { [("Authorization", "Bearer \($0.text)")] } ?? [])
    }
  }
}

/// Makes valid and invalid updates.
struct Forge {
  private let tensors: [Tensor]
  private let invitation: Invitation

  init(base: String, invitation: Invitation) throws {
    let file = try SafetensorsFile(path: base)
    tensors = try file.tensors.map { try file.tensor(named: $0.name) }
    self.invitation = invitation
  }

  /// A valid update with the given changes.
  func update(_ changes: [String: String?] = [:], tensors: [Tensor]? = nil) throws -> [UInt8] {
    var metadata = [
      "muster.task": "\(invitation.task)", "muster.round": "\(invitation.round)", "muster.base": "\(invitation.base.digest)",
      "muster.weight": "1", "muster.content": "parameters",
    ]
    for (name, value) in changes { metadata["muster.\(name)"] = value }
    return try SafetensorsWriter.bytes(tensors ?? self.tensors, metadata: metadata)
  }

  func wrongUpdates() throws -> [(what: String, body: [UInt8], words: [String])] {
    let good = try update()
    let first = tensors[0]
    let rest = Array(tensors.dropFirst())
    func bend(_ change: (inout [Float]) -> Void) throws -> [UInt8] {
      var values = try first.floats()
      change(&values)
      return try update(tensors: [try Tensor(name: first.name, shape: first.shape, floats: values)] + rest)
    }
    func header(_ text: String, data: Int) -> [UInt8] {
      let count = UInt64(text.utf8.count)
      return (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * UInt64($0))) } + Array(text.utf8) + [UInt8](repeating: 0, count: data)
    }
    let wide = try Tensor(name: first.name, shape: first.shape + [2], floats: try first.floats() + first.floats())
    return [
      ("a NaN", try bend { $0[3] = .nan }, [first.name, "NaN"]),
      ("an infinity", try bend { $0[0] = -.infinity }, [first.name]),
      ("a wrong shape", try update(tensors: [wide] + rest), [first.name]),
      ("a missing tensor", try update(tensors: rest), [first.name]),
      ("a tensor too many", try update(tensors: tensors + [try Tensor(name: "extra", shape: [1], floats: [0])]), ["extra"]),
      ("another task", try update(["task": "another"]), ["muster.task"]),
      ("another round", try update(["round": "2"]), ["muster.round"]),
      ("another base", try update(["base": Digest(of: [1, 2]).description]), ["base"]),
      ("no base", try update(["base": nil]), ["muster.base"]),
      ("no weight", try update(["weight": nil]), ["muster.weight"]),
      ("a weight of nothing", try update(["weight": "0"]), ["weight"]),
      ("a negative weight", try update(["weight": "-3"]), ["weight"]),
      ("a weight that is no number", try update(["weight": "nan"]), ["weight"]),
      ("a weight above the maximum", try update(["weight": "1e12"]), ["maximumWeight"]),
      ("metrics that are none", try update(["metrics": "[1]"]), ["muster.metrics"]),
      ("truncated data", Array(good.dropLast(10)), []),
      ("a truncated header", Array(good.prefix(100)), []),
      ("three bytes", [1, 2, 3], []),
      ("nothing", [], []),
      ("garbage", (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 131) }, []),
      ("a header longer than the file", [255, 255, 255, 255, 255, 255, 255, 127] + good.dropFirst(8), []),
      ("a header that is no JSON", header("{\"conv1.weight\"", data: 0), []),
      ("offsets beyond the end", header(#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#, data: 8), []),
      (
        "tensors that overlap",
        header(
          #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#, data: 12), []
      ),
      ("a shape that lies", header(#"{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,8]}}"#, data: 8), []),
      (
        "a shape that overflows", header(#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#, data: 0), []
      ),
    ]
  }
}
