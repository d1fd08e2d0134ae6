import MusterCoordination
import MusterSchema
import MusterStorage
import MusterTransfer
import Synchronization
import TestSupport
import Testing

@testable import MusterDataPlane
@testable import MusterServer

/// Numbers in heads that would overflow in computations, sent to uploads in progress.
@Suite struct HostileHeadTests {
  private static let numbers = [
    "9223372036854775807", "9223372036854775806", "9223372036854775808", "18446744073709551615", "99999999999999999999999999999999999999",
    "1125899906842624", "999999999999999", "-1", "+5", "0x10", "1e9", "1125899906842623",
  ]

  private func ask(_ round: UploadProtocolTests.Round, _ method: String, _ path: String, _ fields: [String]) async throws -> String {
    let connection = try RawConnection(port: round.server.port)
    connection.say("\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\(fields.map { "\($0)\r\n" }.joined())\r\n")
    connection.finish()
    return await connection.hear()
  }

  @Test("A part that announces more bytes than there can be is refused, and the server goes on", arguments: numbers)
  func contentLength(number: String) async throws {
    try await UploadProtocolTests.with { round in
      _ = try await round.begin(100)
      let own = "\(UploadProtocolTests.path)?digest=\(round.digest)"
      for complete in ["?0", "?1"] {
        let answer = try await ask(
          round, "PATCH", own,
          [
            "Content-Type: application/partial-upload", "Upload-Offset: 100", "Upload-Complete: \(complete)", "Content-Length: \(number)",
          ])
        #expect(answer.hasPrefix("HTTP/1.1 4"), "PATCH \(complete): \(answer.prefix(80))")
        for field in ["Upload-Length: \(number)", "Upload-Length: 10"] {
          let put = try await ask(
            round, "PUT", UploadProtocolTests.path,
            ["Upload-Complete: \(complete)", field, "Repr-Digest: \(Digest(of: [1]).contentDigest)", "Content-Length: \(number)"])
          #expect(put.hasPrefix("HTTP/1.1 4"), "PUT \(complete) \(field): \(put.prefix(80))")
        }
      }
      for path in [UploadProtocolTests.path, UploadProtocolTests.path.replacing("updates", with: "evaluations")] {
        let plain = try await ask(round, "PUT", path, ["Content-Length: \(number)"])
        #expect(plain.hasPrefix("HTTP/1.1 4"), "\(plain.prefix(80))")
      }
      #expect(try await ask(round, "POST", "/v1/blobs", ["Content-Length: \(number)"]).hasPrefix("HTTP/1.1 4"))
      // The upload that had begun can still be continued.
      #expect(try await round.append(100..<round.body.count, last: true).status == 201)
    }
  }

  @Test("An offset that no upload has is answered with the one that this has, or refused", arguments: numbers)
  func offset(number: String) async throws {
    try await UploadProtocolTests.with { round in
      _ = try await round.begin(100)
      let own = "\(UploadProtocolTests.path)?digest=\(round.digest)"
      for length in ["0", "5", "9223372036854775807"] {
        let answer = try await ask(
          round, "PATCH", own,
          [
            "Content-Type: application/partial-upload", "Upload-Offset: \(number)", "Upload-Complete: ?0", "Content-Length: \(length)",
          ])
        #expect(answer.hasPrefix("HTTP/1.1 4"), "\(answer.prefix(80))")
      }
      #expect(try await round.offset() == 100)
    }
  }

  @Test("Two uploads that announce more than fits a number together do not end the server")
  func two() async throws {
    try await UploadProtocolTests.with { round in
      var held: [RawConnection] = []
      for node in ["pi-1", "pi-2", "pi-3"] {
        for number in ["9223372036854775807", "1125899906842623"] {
          let connection = try RawConnection(port: round.server.port)
          connection.say(
            """
            PUT /v1/tasks/digits/rounds/3/updates/north/\(node) HTTP/1.1\r\nHost: x\r\nContent-Length: \(number)\r
            Expect: 100-continue\r\n\r\n
            """)
          held.append(connection)
        }
      }
      for connection in held { #expect(await connection.hear(until: "\r\n\r\n").hasPrefix("HTTP/1.1 413")) }
      #expect(try await round.send("PUT", round.url, round.body[...], []).status == 201)
    }
  }

  @Test("A gate counts what it is told, whatever that is")
  func gate() throws {
    let gate = UploadGate(UploadLimits(count: 3, bytes: .max))
    try gate.enter(.max)
    #expect(throws: ProblemWithRetry.self) { try gate.enter(.max) }
    gate.leave(.max)
    try gate.enter(.max)
  }

  @Test("A body that is repeated after its contribution counts is read no further than that is long", arguments: [true, false])
  func repeated(isChunked: Bool) async throws {
    try await UploadProtocolTests.with { round in
      let digest = try round.server.blob(round.body)
      round.server.ledger.admit(.accepted(digest))
      #expect(try await round.send("PUT", round.url, round.body[...], []).status == 200)
      let connection = try RawConnection(port: round.server.port)
      let length = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: 1073741824"
      connection.say("PUT \(UploadProtocolTests.path) HTTP/1.1\r\nHost: x\r\n\(length)\r\n\r\n")
      let piece = [UInt8](repeating: 0, count: 1 << 20)
      let chunk = isChunked ? Array("100000\r\n".utf8) + piece + Array("\r\n".utf8) : piece
      var sent = 0
      while sent < 256 << 20, connection.trySay(chunk) { sent += piece.count }
      #expect(sent < 64 << 20, "\(sent >> 20) MiB were taken")
    }
  }

  @Test("A good answer does not let a body without a length go on for ever")
  func endless() async throws {
    try await UploadProtocolTests.with { round in
      let digest = try round.server.blob(round.body)
      round.server.ledger.admit(.accepted(digest))
      let connection = try RawConnection(port: round.server.port)
      connection.say(
        """
        PUT \(UploadProtocolTests.path) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nRepr-Digest: \(digest.contentDigest)\r\n\r\n
        """)
      #expect(await connection.hear(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200"))
      let chunk = Array("100000\r\n".utf8) + [UInt8](repeating: 0, count: 1 << 20) + Array("\r\n".utf8)
      var sent = 0
      while sent < 256 << 20, connection.trySay(chunk) { sent += 1 << 20 }
      #expect(sent < 64 << 20, "\(sent >> 20) MiB were taken")
    }
  }

  @Test("Addresses of one IPv6 network share a bucket, and a full table says so")
  func networks() {
    let forgotten = Counter()
    let rate = RequestRate(perSecond: 10) { forgotten.add() }
    let now = ContinuousClock.now
    let allowed = (0..<100).filter { rate.refusal("2001:db8::\(String($0, radix: 16))", now: now) == nil }.count
    #expect(allowed == 20)
    #expect(rate.count == 1)
    #expect(rate.refusal("2001:db8:0:1::1", now: now) == nil)
    _ = rate.refusal("::ffff:10.0.0.5", now: now)
    _ = rate.refusal("10.0.0.5", now: now)
    #expect(rate.count == 3)
    for number in 0..<RequestRate.capacity { _ = rate.refusal("192.0.2.\(number)", now: now) }
    #expect(rate.count <= RequestRate.capacity)
    #expect(forgotten.count > 0)
  }
}
