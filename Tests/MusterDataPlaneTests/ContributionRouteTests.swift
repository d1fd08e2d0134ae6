import FoundationEssentials
import MusterCoordination
import MusterSchema
import MusterStorage
import MusterTensors
import MusterTransfer
import Synchronization
import TestSupport
import Testing

@testable import MusterDataPlane
@testable import MusterServer

@Suite struct ContributionRouteTests {
  @Test("an update is stored, and the ledger learns what it says")
  func stored() async throws {
    try await withOpenRound { server, base in
      let bytes = try Update(base: base).bytes
      let file = try server.folder.write(bytes, to: "update")
      let digest = Digest(of: bytes)
      let status = try await server.client.upload(
        file: file, to: "\(server.address)\(place)", ticket: Ticket("let me in"), digest: digest)
      #expect(status == 201)
      let task = try TaskID(validating: "digits")
      let key = ContributionKey(task: task, round: 3, phase: .train, path: try NodePath(validating: "north/pi-1"))
      #expect(
        server.ledger.offers == [
          FakeLedger.Offer(
            key: key,
            contribution: ContributionRecord(
              path: key.path, digest: digest, weight: 100, bytes: bytes.count, metrics: ["accuracy": 0.5, "loss": 0.25]))
        ])
      #expect(server.ledger.state.withLock { $0.tickets } == [Ticket("let me in")])
      #expect(server.store.size(of: digest) == bytes.count)
      #expect(try await eventually { try server.staged == 0 })
    }
  }

  @Test(
    "each word of the ledger before the body has its answer",
    arguments: [
      (.success(.unknown), 404, nil), (.success(.closed("the round is over")), 410, nil), (.success(.refused("wrong ticket")), 403, nil),
      (.failure(Problem(.unavailable, "try again")), 503, 1),
    ] as [(Result<UploadAdmission, Problem>, Int, Double?)])
  func admissions(_ admission: Result<UploadAdmission, Problem>, _ status: Int, _ retryAfter: Double?) async throws {
    try await withOpenRound { server, base in
      server.ledger.state.withLock { $0.admission = admission }
      let error = await #expect(throws: TransferError.self) { try await put(server, try Update(base: base).bytes) }
      guard case .problem(let problem, let seconds) = error else { return #expect(Bool(false), "\(told(error))") }
      #expect(problem.status == status)
      #expect(seconds == retryAfter)
      #expect(!problem.detail.isEmpty)
      #expect(server.ledger.offers.isEmpty)
      let isClean = try await eventually { try server.staged == 0 }
      #expect(isClean)
    }
  }

  @Test(
    "each last word of the ledger has its answer",
    arguments: [
      (.success(.stored), 201), (.success(.same), 200), (.success(.conflict), 409), (.success(.unknown), 404),
      (.success(.closed("over")), 410), (.success(.refused("too large a number")), 422),
      (.failure(Problem(.unavailable, "try again")), 503),
      (.failure(Problem(.diskFull, "full")), 507),
    ] as [(Result<Coordinator.Answer, Problem>, Int)])
  func acceptances(_ acceptance: Result<Coordinator.Answer, Problem>, _ status: Int) async throws {
    try await withOpenRound { server, base in
      server.ledger.state.withLock { $0.acceptance = acceptance }
      let answer = try await putStatus(server, try Update(base: base).bytes)
      #expect(answer == status)
    }
  }

  @Test("a node that counts already gets 200 for the same bytes and 409 for others, with and without Content-Digest")
  func repeated() async throws {
    try await withOpenRound { server, base in
      let bytes = try Update(base: base).bytes
      let others = try Update(base: base, fill: 2).bytes
      server.ledger.admit(.accepted(Digest(of: bytes)))
      for digest in [true, false] {
        #expect(try await putStatus(server, bytes, digest: digest) == 200)
        #expect(try await putStatus(server, others, digest: digest) == 409)
      }
      #expect(server.ledger.offers.isEmpty)
    }
  }

  @Test("after a phase is over, the bytes that counted in it get 200, others 409, and a node that did not count gets 410")
  func repeatedAfterThePhase() async throws {
    try await withOpenRound { server, base in
      let key = ContributionKey(
        task: try TaskID(validating: "digits"), round: 3, phase: .train, path: try NodePath(validating: "north/pi-1"))
      let counted = try Update(base: base).bytes
      let record = ContributionRecord(path: key.path, digest: Digest(of: counted), weight: 100, bytes: counted.count, metrics: [:])
      let others = try Update(base: base, fill: 2).bytes
      let open = server.ledger.state.withLock(\.admission)
      // Over before the body arrives, and over while it arrives.
      for (admission, acceptance) in [(.success(.past("over")), .stored), (open, .closed("over"))]
        as [(Result<UploadAdmission, Problem>, Coordinator.Answer)]
      {
        server.ledger.state.withLock { state in
          state.admission = admission
          state.acceptance = .success(acceptance)
          state.counted = [:]
        }
        #expect(try await putStatus(server, counted) == 410)
        server.ledger.state.withLock { $0.counted[key] = record }
        #expect(try await putStatus(server, counted) == 200)
        #expect(try await putStatus(server, others) == 409)
      }
    }
  }

  @Test("an update that is not what it should be is refused with the reason, and leaves nothing", arguments: spoilings)
  func invalid(_ spoiling: Spoiling) async throws {
    try await withOpenRound { server, base in
      var update = try Update(base: base)
      try spoiling.change(&update)
      let bytes = try update.bytes
      let error = await #expect(throws: TransferError.self) { try await put(server, bytes) }
      #expect(error?.status == 422)
      #expect(error?.problem?.detail.contains(spoiling.reason) == true, "\(told(error))")
      #expect(server.ledger.offers.isEmpty)
      #expect(try await eventually { try server.staged == 0 })
      #expect(server.store.place(of: Digest(of: bytes)) == nil)
    }
  }

  @Test("bodies that are no safetensors file, or lie about themselves, are refused")
  func lyingHeaders() async throws {
    try await withOpenRound { server, base in
      let good = try Update(base: base).bytes
      var longer = good
      longer[7] = 0x7f
      let header = #"{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4]}}"#
      let lying = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8) + [0, 0, 0, 0]
      for bytes in [[], [1, 2, 3], Array("PK, surely no tensors".utf8), longer, lying, Array(good.dropLast(4)), good + [0]] {
        let error = await #expect(throws: TransferError.self) { try await put(server, bytes) }
        #expect(error?.status == 422, "\(told(error))")
      }
      #expect(try await eventually { try server.staged == 0 })
    }
  }

  @Test("another digest than the declared one is refused")
  func digest() async throws {
    try await withOpenRound { server, base in
      let error = await #expect(throws: TransferError.self) {
        try await server.client.send(
          "PUT", "\(server.address)\(place)", body: try Update(base: base).bytes,
          headers: [("Content-Digest", Digest(of: [1]).contentDigest)])
      }
      #expect(error?.status == 422)
      #expect(error?.problem?.code == .wrongDigest)
    }
  }

  @Test("a body over the bound is refused before it is read, and while it is read when its length was not told")
  func oversized() async throws {
    try await withOpenRound { server, base in
      server.ledger.admit(.open(UploadTerms(base: base, maximumWeight: 1000, maximumBytes: 1000)))
      let connection = try RawConnection(port: server.port)
      // The test sends no byte of the body, so the answer must not wait for it.
      connection.say("PUT \(place) HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
      #expect(await connection.hear(until: "}").hasPrefix("HTTP/1.1 413"))
      let chunked = try RawConnection(port: server.port)
      chunked.say("PUT \(place) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n")
      chunked.say([UInt8](repeating: 1, count: 1024))
      #expect(await chunked.hear(until: "}").hasPrefix("HTTP/1.1 413"))
      #expect(try await eventually { try server.staged == 0 })
    }
  }

  @Test("a connection that ends in the middle of a body leaves nothing", arguments: [BlobFolder.smallBytes, BlobFolder.smallBytes + 1])
  func truncated(length: Int) async throws {
    try await withOpenRound { server, base in
      let bytes = try Update(base: base).bytes
      let isStaged = length > BlobFolder.smallBytes
      for isHalfClosed in [true, false] {
        let connection = try RawConnection(port: server.port)
        connection.say("PUT \(place) HTTP/1.1\r\nHost: x\r\nContent-Length: \(length)\r\n\r\n")
        connection.say(Array(bytes[..<100]))
        if isStaged { #expect(try await eventually { try server.staged == 1 }) }
        if isHalfClosed {
          connection.finish()
          #expect(await connection.hear().hasPrefix("HTTP/1.1 400"))
        }
      }
      #expect(try await eventually { try server.staged == 0 })
      #expect(server.ledger.offers.isEmpty)
      #expect(try await putStatus(server, bytes) == 201)
    }
  }

  @Test("a client that asks first is told to go on, or why not")
  func expectContinue() async throws {
    try await withOpenRound { server, base in
      let bytes = try Update(base: base).bytes
      let connection = try RawConnection(port: server.port)
      connection.say(
        "PUT \(place) HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: \(bytes.count)\r\n\r\n")
      let first = await connection.hear(until: "\r\n\r\n")
      #expect(first == "HTTP/1.1 100 Continue\r\n\r\n")
      connection.say(bytes)
      #expect(await connection.hear().hasPrefix("HTTP/1.1 201"))
      server.ledger.admit(.closed("over"))
      let refused = try RawConnection(port: server.port)
      refused.say("PUT \(place) HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: \(bytes.count)\r\n\r\n")
      #expect(await refused.hear(until: "}").hasPrefix("HTTP/1.1 410"))
    }
  }

  @Test(
    "a path that is none reaches no ledger",
    arguments: [
      ("/v1/tasks/digits/rounds/3/updates/north/../central", 400), ("/v1/tasks/digits/rounds/3/updates/north%2Fpi-1", 400),
      ("/v1/tasks/digits/rounds/3/updates/%2e%2e/x", 400), ("/v1/tasks/..%2f/rounds/3/updates/north", 400),
      ("/v1/tasks/digits/rounds/3/updates/north/%23", 400), ("/v1/tasks/digits/rounds/3/updates/north/+", 400),
      ("/v1/tasks/digits/rounds/3/updates//north", 400), ("/v1/tasks/digits/rounds/3/updates/north/", 400),
      ("/v1/tasks/digits/rounds/x/updates/north", 400), ("/v1/tasks/digits/rounds/-1/updates/north", 400),
      ("/v1/tasks/digits/rounds/99999999999999999999/updates/north", 400),
      ("/v1/tasks/digits/rounds/3/updates/a/b/c/d/e/f/g/h/i", 400), ("/v1/tasks/digits/rounds/3/updates/", 404),
      ("/v1/tasks/digits/rounds/3/gradients/north", 404),
    ])
  func paths(_ path: String, _ status: Int) async throws {
    try await withOpenRound { server, _ in
      let connection = try RawConnection(port: server.port)
      connection.say("PUT \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")
      let text = await connection.hear()
      #expect(text.hasPrefix("HTTP/1.1 \(status)"), "\(text.prefix(200))")
      #expect(text.contains("application/problem+json"))
      #expect(server.ledger.state.withLock { $0.keys.isEmpty })
    }
  }

  @Test("an evaluation is checked like an update")
  func evaluation() async throws {
    try await withOpenRound { server, base in
      let url = "\(server.address)/v1/tasks/digits/rounds/3/evaluations/north/pi-1"
      let good = Evaluation(base: base, weight: 10, metrics: ["accuracy": 0.75])
      let answer = try await server.client.send("PUT", url, json: good)
      #expect(answer.status == 201)
      let offer = try #require(server.ledger.offers.first)
      #expect(offer.key.phase == .evaluate)
      #expect(offer.contribution.weight == 10)
      #expect(offer.contribution.metrics == ["accuracy": 0.75])
      for text in [
        "", "{", "[]", #"{"base":"\#(base)","weight":1}"#, #"{"base":"\#(base)","weight":0,"metrics":{}}"#,
        #"{"base":"\#(base)","weight":1e999,"metrics":{}}"#, #"{"base":"\#(base)","weight":1001,"metrics":{}}"#,
        #"{"base":"\#(Digest(of: [1]))","weight":1,"metrics":{}}"#,
      ] {
        let error = await #expect(throws: TransferError.self) { try await server.client.send("PUT", url, body: Array(text.utf8)) }
        #expect(error?.status == 422, "\(text): \(told(error))")
      }
      let nan = await #expect(throws: TransferError.self) {
        try await server.client.send("PUT", url, body: Array(#"{"base":"\#(base)","weight":1,"metrics":{"f1":NaN}}"#.utf8))
      }
      #expect(nan?.status == 422 && told(nan).contains("metrics.f1 is not a finite number"), "\(told(nan))")
      let large = await #expect(throws: TransferError.self) {
        try await server.client.send("PUT", url, body: [UInt8](repeating: 32, count: (64 << 10) + 1))
      }
      #expect(large?.status == 413)
    }
  }

  @Test("the ledger's standing can be read")
  func phaseLedger() async throws {
    try await withOpenRound { server, _ in
      let url = "\(server.address)/v1/tasks/digits/rounds/3/updates"
      let missing = await #expect(throws: TransferError.self) { try await server.client.get(PhaseLedger.self, from: url) }
      #expect(missing?.status == 404)
      let standing = PhaseLedger(
        task: try TaskID(validating: "digits"), round: 3, phase: .train, open: true, accepted: [try NodePath(validating: "north/pi-1")])
      server.ledger.state.withLock { $0.phase = standing }
      #expect(try await server.client.get(PhaseLedger.self, from: url) == standing)
    }
  }

  @Test("fifty uploads at once all arrive")
  func concurrent() async throws {
    try await withOpenRound { server, base in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<50 {
          group.addTask {
            let bytes = try Update(base: base, fill: Float(index)).bytes
            #expect(try await putStatus(server, bytes, path: "/v1/tasks/digits/rounds/3/updates/north/pi-\(index)") == 201)
          }
        }
        try await group.waitForAll()
      }
      #expect(Set(server.ledger.offers.map(\.key.path)).count == 50)
      #expect(server.ledger.offers.allSatisfy { server.store.place(of: $0.digest) != nil })
      #expect(try await eventually { try server.staged == 0 })
    }
  }

  @Test("a base model that is gone is the server's trouble, not the device's")
  func missingBase() async throws {
    try await withOpenRound { server, base in
      let garbage = try server.blob([1, 2, 3])
      server.ledger.admit(.open(UploadTerms(base: garbage, maximumWeight: 1000, maximumBytes: 1000)))
      #expect(try await putStatus(server, try Update(base: base).bytes) == 503)
    }
  }
}

private let place = "/v1/tasks/digits/rounds/3/updates/north/pi-1"

/// Runs a server whose round is open for updates that start from the given base.
private func withOpenRound(_ body: @Sendable (TestServer, Digest) async throws -> Void) async throws {
  try await TestServer.with { server in
    let base = try server.blob(try Update.baseBytes)
    server.ledger.admit(.open(UploadTerms(base: base, maximumWeight: 1000, maximumBytes: 1 << 20)))
    try await body(server, base)
  }
}

private func put(_ server: TestServer, _ bytes: [UInt8], digest: Bool = true, path: String = place) async throws(TransferError) -> Int {
  let headers = digest ? [("Content-Digest", Digest(of: bytes).contentDigest)] : []
  return try await server.client.send("PUT", server.address + path, body: bytes, headers: headers).status
}

private func putStatus(_ server: TestServer, _ bytes: [UInt8], digest: Bool = true, path: String = place) async throws -> Int {
  do {
    return try await put(server, bytes, digest: digest, path: path)
  } catch {
    guard let status = error.status else { throw error }
    return status
  }
}

/// One way to make an update wrong, with a part of the expected refusal.
struct Spoiling: Sendable {
  let reason: String
  let change: @Sendable (inout Update) throws -> Void

  init(reason: String, _ change: @escaping @Sendable (inout Update) throws -> Void) {
    self.reason = reason
    self.change = change
  }
}

private let spoilings: [Spoiling] = [
  Spoiling(reason: "wrong task") { $0.metadata["muster.task"] = "other" },
  Spoiling(reason: "wrong round") { $0.metadata["muster.round"] = "4" },
  Spoiling(reason: "wrong base") { $0.metadata["muster.base"] = Digest(of: [1]).description },
  Spoiling(reason: "muster.base is not a digest") { $0.metadata["muster.base"] = "sha256:zz" },
  Spoiling(reason: "lacks muster.base") { $0.metadata["muster.base"] = nil },
  Spoiling(reason: "lacks muster.weight") { $0.metadata["muster.weight"] = nil },
  Spoiling(reason: "muster.weight is not a number") { $0.metadata["muster.weight"] = "many" },
  Spoiling(reason: "finite number above 0") { $0.metadata["muster.weight"] = "nan" },
  Spoiling(reason: "finite number above 0") { $0.metadata["muster.weight"] = "inf" },
  Spoiling(reason: "finite number above 0") { $0.metadata["muster.weight"] = "0" },
  Spoiling(reason: "finite number above 0") { $0.metadata["muster.weight"] = "-1" },
  Spoiling(reason: "maximumWeight") { $0.metadata["muster.weight"] = "1001" },
  Spoiling(reason: "muster.content") { $0.metadata["muster.content"] = "gradient" },
  Spoiling(reason: "muster.metrics") { $0.metadata["muster.metrics"] = "[1]" },
  Spoiling(reason: "muster.metrics") { $0.metadata["muster.metrics"] = #"{"loss":"low"}"# },
  Spoiling(reason: "loss is not a finite number") { $0.metadata["muster.metrics"] = #"{"accuracy":1,"loss":NaN}"# },
  Spoiling(reason: "64 metrics") { $0.metadata["muster.metrics"] = "{\"\(String(repeating: "x", count: 65))\":1}" },
  Spoiling(reason: "missing tensor \"conv.bias\"") { $0.tensors.removeLast() },
  Spoiling(reason: "unknown tensor \"extra\"") { $0.tensors.append(try Tensor(name: "extra", shape: [1], floats: [1])) },
  Spoiling(reason: "wrong shape of \"conv.bias\"") { $0.tensors[1] = try Tensor(name: "conv.bias", shape: [2, 2], floats: [1, 1, 1, 1]) },
  Spoiling(reason: "wrong dtype of \"conv.bias\"") {
    $0.tensors[1] = try Tensor(name: "conv.bias", shape: [4], floats: [1, 1, 1, 1], dtype: .f16)
  },
  Spoiling(reason: "infinity or a NaN") { $0.tensors[1] = try Tensor(name: "conv.bias", shape: [4], floats: [1, .nan, 1, 1]) },
  Spoiling(reason: "infinity or a NaN") {
    $0.tensors[0] = try Tensor(name: "conv.weight", shape: [4, 3], floats: [Float](repeating: .infinity, count: 12))
  },
]

/// The text of an error, for a test's message.
func told(_ error: (any Error)?) -> String { error.map { "\($0)" } ?? "no error" }
