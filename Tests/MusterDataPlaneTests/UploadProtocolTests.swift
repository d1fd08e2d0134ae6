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

/// The headers of draft-ietf-httpbis-resumable-upload, checked byte by byte.
@Suite struct UploadProtocolTests {
  static let path = "/v1/tasks/digits/rounds/3/updates/north/pi-1"

  struct Round: Sendable {
    let server: TestServer
    let body: [UInt8]
    var digest: Digest { Digest(of: body) }
    var url: String { "\(server.address)\(UploadProtocolTests.path)" }
    var own: String { "\(url)?digest=\(digest)" }

    func send(_ method: String, _ url: String? = nil, _ bytes: ArraySlice<UInt8>? = nil, _ headers: [(String, String)]) async throws
      -> HTTPResponse
    {
      try await server.client.send(method, url ?? own, body: bytes.map { Array($0) }, headers: headers)
    }

    /// Sends the first part.
    func begin(_ count: Int) async throws -> HTTPResponse {
      try await send(
        "PUT", url, body[..<count], [("Upload-Complete", "?0"), ("Upload-Length", "\(body.count)"), ("Repr-Digest", digest.contentDigest)])
    }

    func append(_ range: Range<Int>, last: Bool = false) async throws -> HTTPResponse {
      try await send(
        "PATCH", nil, body[range],
        [
          ("Content-Type", "application/partial-upload"), ("Upload-Offset", "\(range.lowerBound)"), ("Upload-Complete", last ? "?1" : "?0"),
        ])
    }

    func offset() async throws -> Int? {
      try await send("HEAD", nil, nil, [])["upload-offset"].flatMap { Int($0) }
    }
  }

  static func with(
    limits: ListenerLimits = ListenerLimits(), uploads: UploadLimits = UploadLimits(), _ test: @Sendable (Round) async throws -> Void
  ) async throws {
    try await TestServer.with(
      limits: limits, uploads: uploads,
      { server in
        let base = try server.blob(try Update.baseBytes)
        server.ledger.admit(.open(UploadTerms(base: base, maximumWeight: 1e9, maximumBytes: 1 << 20)))
        try await test(Round(server: server, body: try Update(base: base).bytes))
      })
  }

  @Test("An upload in parts becomes a contribution with the last one")
  func parts() async throws {
    try await Self.with { round in
      let first = try await round.begin(100)
      #expect(first.status == 202)
      #expect(first["upload-offset"] == "100")
      #expect(first["upload-complete"] == "?0")
      #expect(first["location"] == "?digest=\(round.digest)")
      #expect(try await round.append(100..<101).status == 204)
      let head = try await round.send("HEAD", nil, nil, [])
      #expect(head.status == 204)
      #expect(head["upload-offset"] == "101")
      #expect(head["upload-length"] == "\(round.body.count)")
      #expect(head["repr-digest"] == round.digest.contentDigest)
      #expect(head["cache-control"] == "no-store")
      #expect(head["upload-limit"] == "max-size=1048576, max-age=86400")
      #expect(round.server.ledger.offers.isEmpty)
      let last = try await round.append(101..<round.body.count, last: true)
      #expect(last.status == 201)
      #expect(last["upload-complete"] == "?1")
      #expect(round.server.ledger.offers.map(\.digest) == [round.digest])
      #expect(round.server.store.size(of: round.digest) == round.body.count)
      #expect(round.server.store.partials.totals.count == 0)
    }
  }

  @Test("Without its digest, an upload is asked for by the contribution's own address")
  func plainHead() async throws {
    try await Self.with { round in
      let none = try await round.send("HEAD", round.url, nil, [])
      #expect(none.status == 204)
      #expect(none["upload-offset"] == "0")
      _ = try await round.begin(7)
      let some = try await round.send("HEAD", round.url, nil, [])
      #expect(some["upload-offset"] == "7")
      #expect(some["location"] == "?digest=\(round.digest)")
      // An upload with other bytes is another upload.
      let other = try await round.send("HEAD", "\(round.url)?digest=\(Digest(of: [1]))", nil, [])
      #expect(other["upload-offset"] == "0")
    }
  }

  @Test("A part that does not fit is answered with the offset that would")
  func mismatch() async throws {
    try await Self.with { round in
      let early = try await round.append(5..<9)
      #expect(early.status == 409)
      #expect(early["upload-offset"] == "0")
      _ = try await round.begin(10)
      let answer = try await round.append(20..<30)
      #expect(answer.status == 409)
      #expect(answer["upload-offset"] == "10")
      #expect(answer["content-type"] == "application/problem+json")
      let text = String(decoding: answer.body, as: UTF8.self)
      #expect(text.contains("https://iana.org/assignments/http-problem-types#mismatching-upload-offset"))
      #expect(text.contains(#""expected-offset":10"#))
      #expect(try await round.offset() == 10)
    }
  }

  @Test("A body that broke off is kept to its last byte when it was announced as resumable", arguments: ["?0", "?1"])
  func brokenOff(complete: String) async throws {
    try await Self.with { round in
      let connection = try RawConnection(port: round.server.port)
      connection.say(
        """
        PUT \(Self.path) HTTP/1.1\r\nHost: x\r\nContent-Length: \(round.body.count)\r\nUpload-Complete: \(complete)\r
        Upload-Length: \(round.body.count)\r\nRepr-Digest: \(round.digest.contentDigest)\r\n\r\n
        """)
      #expect(await connection.hear(until: "\r\n\r\n").hasPrefix("HTTP/1.1 104 Upload Resumption Supported"))
      connection.say(Array(round.body[..<150]))
      connection.finish()
      _ = await connection.hear()
      let isThere = try await eventually { try await round.offset() == 150 }
      #expect(isThere)
      #expect(try await round.append(150..<round.body.count, last: true).status == 201)
    }
  }

  @Test("A silent connection is no obstacle: whoever asks for the offset takes the upload over")
  func takeOver() async throws {
    try await Self.with { round in
      var silent = try RawConnection(port: round.server.port)
      let isThere = try await eventually {
        // A question before the server has read the bytes takes the upload over without them. The upload then starts again.
        silent = try RawConnection(port: round.server.port)
        silent.say(
          """
          PUT \(Self.path) HTTP/1.1\r\nHost: x\r\nContent-Length: \(round.body.count)\r\nUpload-Complete: ?1\r
          Content-Digest: \(round.digest.contentDigest)\r\n\r\n
          """)
        _ = await silent.hear(until: "\r\n\r\n")
        silent.say(Array(round.body[..<50]))
        return try await round.offset() == 50
      }
      #expect(isThere)
      // The client continues, but its bytes no longer count.
      silent.say(Array(round.body[50..<60]))
      #expect(await silent.hear(until: "\r\n\r\n").hasPrefix("HTTP/1.1 503"))
      #expect(try await round.offset() == 50)
      #expect(try await round.append(50..<round.body.count, last: true).status == 201)
    }
  }

  @Test("Bytes that are not what was announced are refused at the end, and forgotten")
  func wrongDigest() async throws {
    try await Self.with { round in
      let claimed = Digest(of: [1, 2, 3])
      let url = "\(round.url)?digest=\(claimed)"
      _ = try await round.send(
        "PUT", round.url, round.body[..<10],
        [("Upload-Complete", "?0"), ("Upload-Length", "\(round.body.count)"), ("Repr-Digest", claimed.contentDigest)])
      let error = await #expect(throws: TransferError.self) {
        try await round.send(
          "PATCH", url, round.body[10...],
          [("Content-Type", "application/partial-upload"), ("Upload-Offset", "10"), ("Upload-Complete", "?1")])
      }
      #expect(error?.status == 422)
      #expect(error?.problem?.code == .wrongDigest)
      #expect(round.server.store.partials.totals.count == 0)
      #expect(round.server.ledger.offers.isEmpty)
    }
  }

  @Test(
    "What the ledger could not store now need not be sent again",
    arguments: [Problem(.unavailable, "try again"), Problem(.diskFull, "full")])
  func acceptedLater(_ problem: Problem) async throws {
    try await Self.with { round in
      round.server.ledger.state.withLock { $0.acceptance = .failure(problem) }
      _ = try await round.begin(10)
      let error = await #expect(throws: TransferError.self) { try await round.append(10..<round.body.count, last: true) }
      #expect(error?.status == problem.status)
      round.server.ledger.state.withLock { $0.acceptance = .success(.stored) }
      #expect(try await round.offset() == round.body.count)
      #expect(try await round.append(round.body.count..<round.body.count, last: true).status == 201)
      #expect(round.server.ledger.offers.count == 2)
      #expect(round.server.store.partials.totals.count == 0)
    }
  }

  @Test("A late answer costs nothing: who asks again hears that it counts")
  func counts() async throws {
    try await Self.with { round in
      _ = try await round.begin(10)
      round.server.ledger.admit(.accepted(round.digest))
      let head = try await round.send("HEAD", nil, nil, [])
      #expect(head.status == 200)
      #expect(head["upload-complete"] == "?1")
      #expect(try await round.append(10..<20).status == 200)
      #expect(try await round.begin(10).status == 200)
      #expect(round.server.store.partials.totals.count == 0)
      for (method, body) in [("HEAD", nil), ("PATCH", [1])] as [(String, ArraySlice<UInt8>?)] {
        let error = await #expect(throws: TransferError.self) {
          try await round.send(
            method, "\(round.url)?digest=\(Digest(of: [1]))", body,
            [("Content-Type", "application/partial-upload"), ("Upload-Offset", "0"), ("Upload-Complete", "?0")])
        }
        #expect(error?.status == 409)
      }
    }
  }

  @Test("A round that has closed says so to every request", arguments: ["HEAD", "PATCH", "PUT", "DELETE"])
  func closed(method: String) async throws {
    try await Self.with { round in
      _ = try await round.begin(10)
      round.server.ledger.admit(.closed("the round is over"))
      let error = await #expect(throws: TransferError.self) {
        try await round.send(
          method, nil, method == "HEAD" || method == "DELETE" ? nil : [1],
          [("Content-Type", "application/partial-upload"), ("Upload-Offset", "10"), ("Upload-Complete", "?0")])
      }
      #expect(error?.status == 410)
    }
  }

  @Test("Its sender can give an upload up")
  func cancelled() async throws {
    try await Self.with { round in
      _ = try await round.begin(10)
      #expect(try await round.send("DELETE", nil, nil, []).status == 204)
      #expect(try await round.offset() == 0)
      let again = await #expect(throws: TransferError.self) { try await round.send("DELETE", nil, nil, []) }
      #expect(again?.status == 404)
      #expect(try await round.send("OPTIONS", round.url, nil, [])["accept-patch"] == "application/partial-upload")
    }
  }

  struct Senseless: Sendable {
    var method: String
    var headers: [String]
    var status: Int

    init(_ method: String, _ status: Int, _ headers: String...) {
      self.method = method
      self.status = status
      self.headers = headers
    }
  }

  private static let one = "Repr-Digest: \(Digest(of: [1]).contentDigest)"
  private static let part = "Content-Type: application/partial-upload"

  static let senseless: [Senseless] = [
    Senseless("PUT", 400, "Upload-Complete: ?0"),
    Senseless("PUT", 400, "Upload-Complete: true"),
    Senseless("PUT", 400, "Upload-Complete: ?0", "Repr-Digest: sha-256=:AAAA:"),
    Senseless("PUT", 400, "Upload-Complete: ?1", one, "Upload-Length: 99999"),
    Senseless("PUT", 400, "Upload-Complete: ?0", one, "Upload-Length: -1"),
    Senseless("PUT", 413, "Upload-Complete: ?0", one, "Upload-Length: 9999999"),
    Senseless("PUT", 400, "Upload-Complete: ?0", one, "Upload-Offset: 5"),
    Senseless("PUT", 400, "Upload-Complete: ?1", one, "Content-Digest: \(Digest(of: [2]).contentDigest)"),
    Senseless("PATCH", 415, "Upload-Complete: ?0", "Upload-Offset: 0", one),
    Senseless("PATCH", 400, part, "Upload-Complete: ?0"),
    Senseless("PATCH", 400, part, "Upload-Complete: ?0", "Upload-Offset: 1e3"),
    Senseless("PATCH", 400, part, "Upload-Complete: ?0", "Upload-Offset: 99999999999999999999"),
  ]

  @Test("Upload headers that make no sense are refused", arguments: senseless.indices)
  func refusedHeaders(index: Int) async throws {
    let wrong = Self.senseless[index]
    try await Self.with { round in
      let headers = wrong.headers.map { line in
        let parts = line.split(separator: ":", maxSplits: 1)
        return (String(parts[0]), String(parts[1].dropFirst()))
      }
      let error = await #expect(throws: TransferError.self) { try await round.send(wrong.method, round.url, round.body[..<8], headers) }
      #expect(error?.status == wrong.status)
      #expect(round.server.store.partials.totals.count == 0)
    }
  }

  @Test("A part beyond the announced length is refused, what fits stays")
  func beyond() async throws {
    try await Self.with { round in
      _ = try await round.begin(10)
      let error = await #expect(throws: TransferError.self) {
        try await round.send(
          "PATCH", nil, [UInt8](repeating: 7, count: round.body.count)[...],
          [("Content-Type", "application/partial-upload"), ("Upload-Offset", "10"), ("Upload-Complete", "?0")])
      }
      #expect(error?.status == 400)
      #expect(try await round.offset() ?? 0 < round.body.count)
    }
  }

  @Test("No more half uploads than allowed are kept: the node's own oldest makes room, then those left alone")
  func crowded() async throws {
    var uploads = UploadLimits()
    uploads.partials = PartialUploadLimits(count: 3, perOwner: 2, bytes: 1 << 20, graceSeconds: 0)
    try await Self.with(uploads: uploads) { round in
      func begin(_ node: String, round number: Int, length: Int = 100) async -> Int {
        do {
          return try await round.send(
            "PUT", "\(round.server.address)/v1/tasks/digits/rounds/\(number)/updates/\(node)", [1],
            [("Upload-Complete", "?0"), ("Upload-Length", "\(length)"), ("Repr-Digest", round.digest.contentDigest)]
          ).status
        } catch {
          return (error as? TransferError)?.status ?? 0
        }
      }
      for number in 1...4 { #expect(await begin("north/pi-1", round: number) == 202) }
      #expect(round.server.store.partials.totals.count == 2)
      for number in 1...4 { #expect(await begin("north/pi-\(number)", round: 9) == 202) }
      #expect(round.server.store.partials.totals.count == 3)
      for number in 1...3 { #expect(await begin("north/pi-\(number)", round: 10, length: 600_000) == 202) }
      #expect(round.server.store.partials.totals.bytes <= 1 << 20)
    }
  }
}
