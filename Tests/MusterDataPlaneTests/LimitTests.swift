import FoundationEssentials
import MusterCoordination
import MusterSchema
import MusterStorage
import MusterTransfer
import Synchronization
import TestSupport
import Testing

@testable import MusterDataPlane
@testable import MusterServer

/// Requests that a listener refuses, its answers, and its log.
@Suite struct LimitTests {
  private static let path = UploadProtocolTests.path

  /// Starts an upload and sends no further bytes.
  private func slowUpload(_ server: TestServer, node: String = "pi-1", length: Int = 1000) async throws -> RawConnection {
    let connection = try RawConnection(port: server.port)
    connection.say(
      "PUT /v1/tasks/digits/rounds/3/updates/north/\(node) HTTP/1.1\r\nHost: x\r\nContent-Length: \(length)\r\nExpect: 100-continue\r\n\r\n"
    )
    _ = await connection.hear(until: "100 Continue\r\n")
    return connection
  }

  @Test("Over the number of uploads the answer is 429 with Retry-After, and the server stays quick")
  func busy() async throws {
    var uploads = UploadLimits()
    uploads.count = 3
    try await UploadProtocolTests.with(uploads: uploads) { round in
      var held: [RawConnection] = []
      for number in 1...3 { held.append(try await slowUpload(round.server, node: "pi-\(number)")) }
      for _ in 1...20 {
        let error = await #expect(throws: TransferError.self) { try await round.send("PUT", round.url, round.body[...], []) }
        guard case .problem(let problem, let retryAfter) = error else {
          Issue.record("\(String(describing: error))")
          continue
        }
        #expect(problem.status == 429)
        #expect(retryAfter.map { (1...30).contains($0) } == true)
      }
      let started = ContinuousClock.now
      #expect(try await round.server.client.send("GET", "\(round.server.address)/healthz").status == 200)
      #expect(ContinuousClock.now - started < .seconds(1))
      // Twenty refusals give one line.
      #expect(round.server.log.lines(with: "http.status=429").count == 1)
      held.removeLast()
      let isFree = try await eventually { (try? await round.send("PUT", round.url, round.body[...], []).status) == 201 }
      #expect(isFree)
    }
  }

  @Test("More clients than a server takes all get through, for they wait as they are told")
  func herd() async throws {
    var uploads = UploadLimits()
    uploads.count = 2
    try await UploadProtocolTests.with(uploads: uploads) { round in
      let held = [try await slowUpload(round.server, node: "x"), try await slowUpload(round.server, node: "y")]
      let refused = Counter()
      try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<20 {
          group.addTask {
            try await retrying(RetryPolicy(attempts: 50)) { (_) async throws(TransferError) in
              do throws(TransferError) {
                let url = "\(round.server.address)/v1/tasks/digits/rounds/3/updates/north/pi-\(number)"
                return try await round.server.client.send("PUT", url, body: round.body).status
              } catch {
                if error.status == 429 { refused.add() }
                throw error
              }
            }
          }
        }
        let isTold = try await eventually { refused.count >= 20 }
        #expect(isTold)
        for connection in held { connection.finish() }
        for try await status in group { #expect(status == 201) }
      }
      #expect(round.server.ledger.offers.count == 20)
    }
  }

  @Test("Over the announced bytes the answer is 429, but one large upload alone may come")
  func bytes() async throws {
    var uploads = UploadLimits()
    uploads.bytes = 1000
    try await UploadProtocolTests.with(uploads: uploads) { round in
      do {
        let held = try await slowUpload(round.server, length: 900)
        let error = await #expect(throws: TransferError.self) { try await round.send("PUT", round.url, round.body[...], []) }
        #expect(error?.status == 429)
        withExtendedLifetime(held) {}
      }
      let isFree = try await eventually { (try? await round.send("PUT", round.url, round.body[...], []).status) == 201 }
      #expect(isFree)
    }
  }

  @Test("An address that asks too often is told to wait, about anything but the health")
  func rate() async throws {
    var limits = ListenerLimits()
    limits.requestsPerSecond = 5
    try await UploadProtocolTests.with(limits: limits) { round in
      var refused = 0
      for _ in 1...30 {
        do {
          _ = try await round.send("HEAD", round.url, nil, [])
        } catch let error as TransferError {
          guard case .problem(let problem, let seconds) = error else { throw error }
          #expect(problem.status == 429)
          #expect(seconds ?? 0 >= 1)
          refused += 1
        }
        #expect(try await round.server.client.send("GET", "\(round.server.address)/healthz").status == 200)
      }
      #expect(refused > 0)
    }
  }

  @Test("A token bucket lets bursts pass, refills, and forgets addresses rather than growing")
  func bucket() {
    let rate = RequestRate(perSecond: 10)
    let now = ContinuousClock.now
    let first = (1...25).filter { _ in rate.refusal("10.0.0.1", now: now) == nil }.count
    #expect(first == 20)
    #expect(rate.refusal("10.0.0.2", now: now) == nil)
    #expect(rate.refusal("10.0.0.1", now: now + .seconds(1)) == nil)
    for number in 0..<10_000 { _ = rate.refusal("192.0.2.\(number)", now: now + .seconds(2)) }
    #expect(rate.refusal("10.0.0.1", now: now + .seconds(60)) == nil)
  }

  @Test("A head that is too large is answered with 431 and closed")
  func headers() async throws {
    var limits = ListenerLimits()
    limits.headerBytes = 4 << 10
    try await UploadProtocolTests.with(limits: limits) { round in
      for text in ["X-Large: \(String(repeating: "a", count: 20_000))", (0..<3000).map { "X-\($0): a" }.joined(separator: "\r\n")] {
        let connection = try RawConnection(port: round.server.port)
        connection.say("GET /healthz HTTP/1.1\r\nHost: x\r\n\(text)\r\n\r\n")
        let answer = await connection.hear()
        #expect(answer.hasPrefix("HTTP/1.1 431") || answer.hasPrefix("HTTP/1.1 400"), "\(answer.prefix(60))")
      }
      #expect(!round.server.log.lines(with: "data.limits.headerKiB").isEmpty)
      #expect(try await round.server.client.send("GET", "\(round.server.address)/healthz").status == 200)
    }
  }

  @Test("A client that connects and does not ask is disconnected", arguments: ["", "GET /healthz HT"])
  func silent(text: String) async throws {
    var limits = ListenerLimits()
    limits.headSeconds = 1
    try await UploadProtocolTests.with(limits: limits) { round in
      let connection = try RawConnection(port: round.server.port)
      connection.say(text)
      let started = ContinuousClock.now
      #expect(await connection.hear().isEmpty)
      #expect(ContinuousClock.now - started < .seconds(20))
    }
  }

  @Test("A body that stops, or trickles, is answered with 408; what came stays if it was resumable")
  func slow() async throws {
    var limits = ListenerLimits()
    limits.stallSeconds = 1
    limits.bytesPerSecond = 1 << 20
    try await UploadProtocolTests.with(limits: limits) { round in
      let connection = try RawConnection(port: round.server.port)
      connection.say(
        """
        PUT \(Self.path) HTTP/1.1\r\nHost: x\r\nContent-Length: \(round.body.count)\r\nUpload-Complete: ?1\r
        Content-Digest: \(round.digest.contentDigest)\r\n\r\n
        """)
      connection.say(Array(round.body[..<30]))
      let answer = await connection.hear(until: "408")
      #expect(answer.contains("HTTP/1.1 408"), "\(answer) \(round.server.log.lines)")
      #expect(try await round.offset() == 30)
      #expect(!round.server.log.lines(with: "limit=data.limits.").isEmpty)
      // A byte from time to time is not enough either.
      let trickle = try RawConnection(port: round.server.port)
      trickle.say("PUT \(Self.path) HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
      async let heard = trickle.hear(until: "408")
      let isOver = try await eventually(within: .seconds(20), every: .milliseconds(100)) { !trickle.trySay([1]) }
      #expect(isOver)
      let last = await heard
      #expect(last.contains("408"), "\(last) \(round.server.log.lines)")
    }
  }

  @Test("A refused body is not read to its end")
  func refusedBody() async throws {
    try await UploadProtocolTests.with { round in
      round.server.ledger.admit(.refused("wrong ticket"))
      let connection = try RawConnection(port: round.server.port)
      connection.say("PUT \(Self.path) HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n")
      #expect(await connection.hear(until: "\r\n\r\n").hasPrefix("HTTP/1.1 403"))
      var sent = 0
      while sent < 256 << 20, connection.trySay([UInt8](repeating: 0, count: 1 << 20)) { sent += 1 << 20 }
      #expect(sent < 64 << 20)
    }
  }

  @Test("Connections beyond the limit wait until others end")
  func connections() async throws {
    var limits = ListenerLimits()
    limits.connections = 2
    try await UploadProtocolTests.with(limits: limits) { round in
      var held = [try RawConnection(port: round.server.port), try RawConnection(port: round.server.port)]
      for connection in held {
        connection.say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(await connection.hear(until: "ok\n").contains("200"))
      }
      let third = try RawConnection(port: round.server.port)
      third.say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
      held.removeAll()
      #expect(await third.hear(until: "ok\n").contains("200"))
      #expect(!round.server.log.lines(with: "data.limits.connections").isEmpty)
    }
  }

  @Test(
    "Nothing but an identifier gets through a route",
    arguments: [
      "/v1/tasks/../../etc/rounds/1/updates/a", "/v1/tasks/%2e%2e%2f/rounds/1/updates/a", "/v1/tasks/a%00b/rounds/1/updates/a",
      "/v1/tasks/a/rounds/1/updates/../../../../etc/passwd", "/v1/tasks/a/rounds/1/updates/%2e%2e/x", "/v1/tasks/a/rounds/1/updates//x",
      "/v1/tasks/a/rounds/1/updates/x/", "/v1/tasks/a/rounds/-1/updates/x", "/v1/tasks/a/rounds/1e9/updates/x",
      "/v1/tasks/a/rounds/99999999999999999999/updates/x", "/v1/tasks/A/rounds/1/updates/x", "/v1/tasks/a+b/rounds/1/updates/x",
      "/v1/tasks/%23/rounds/1/updates/x", "/v1/tasks/a/rounds/1/updates/north/%2B", "/v1/tasks/a/rounds/1/updates/central%2Fx",
      "/v1/tasks/a/rounds/1/updates/north/pi-1%0d%0aX: y", "/v1/tasks/\u{e9}/rounds/1/updates/x",
      "/v1/tasks/a/rounds/1/updates/\(String(repeating: "a/", count: 200))a",
      "/v1/tasks/\(String(repeating: "a", count: 64))/rounds/1/updates/x",
    ])
  func injection(path: String) async throws {
    try await UploadProtocolTests.with { round in
      for method in ["PUT", "PATCH", "HEAD", "DELETE"] {
        let connection = try RawConnection(port: round.server.port)
        connection.say(
          "\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\nContent-Type: application/partial-upload\r\n"
            + "Upload-Complete: ?0\r\nUpload-Offset: 0\r\nRepr-Digest: \(round.digest.contentDigest)\r\n\r\n")
        let answer = await connection.hear()
        #expect(answer.hasPrefix("HTTP/1.1 4"), "\(method): \(answer.prefix(80))")
      }
      #expect(round.server.ledger.state.withLock { $0.keys.isEmpty })
      #expect(round.server.store.partials.totals.count == 0)
    }
  }

  @Test(
    "Nothing but a digest names a blob",
    arguments: [
      "..%2f..%2fsecret", "../secret", "sha256:../../secret", "sha256:\(String(repeating: "g", count: 64))",
      "sha256:\(String(repeating: "A", count: 64))", "%00", "sha256:\(String(repeating: "a", count: 64))/../../../secret",
    ])
  func blobNames(name: String) async throws {
    try await UploadProtocolTests.with { round in
      let connection = try RawConnection(port: round.server.port)
      connection.say("GET /v1/blobs/\(name) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      #expect(await connection.hear().hasPrefix("HTTP/1.1 4"))
    }
  }
}

final class Counter: Sendable {
  private let value = Mutex(0)

  var count: Int { value.withLock(\.self) }
  func add() { value.withLock { $0 += 1 } }
}
