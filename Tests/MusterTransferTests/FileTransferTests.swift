import FoundationEssentials
import Glibc
import MusterGround
import MusterSchema
import Synchronization
import TestSupport
import Testing

@testable import MusterTransfer

@Suite struct FileTransferTests {
  private let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }

  @Test("a download appears whole, and only with the right digest")
  func download() async throws {
    let folder = try TemporaryFolder()
    let server = try ScriptedServer { [bytes] _ in .answer(200, bytes) }
    let client = try HTTPClient()
    let path = folder.file("model")
    let other = Digest(of: [1])
    let wrong = await #expect(throws: TransferError.self) {
      try await client.download(server.address, to: path, expecting: other, maximumBytes: 1 << 20)
    }
    #expect(wrong == .digestMismatch(expected: other, got: Digest(of: bytes)))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    try await client.download(server.address, to: path, expecting: Digest(of: bytes), maximumBytes: 1 << 20)
    #expect(try Array(Data(contentsOf: URL(filePath: path))) == bytes)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model"])
  }

  @Test("an interrupted download is continued where it stopped")
  func resume() async throws {
    let folder = try TemporaryFolder()
    let isCut = Mutex(true)
    let server = try ScriptedServer { [bytes] request in
      guard let range = request.header("range") else {
        let isFirst = isCut.withLock { cut in
          defer { cut = false }
          return cut
        }
        let head = Array("HTTP/1.1 200 X\r\nContent-Length: \(bytes.count)\r\n\r\n".utf8)
        return isFirst ? .last(head + bytes[..<50_000]) : .bytes(head + bytes)
      }
      let start = Int(range.dropFirst("bytes=".count).dropLast()) ?? 0
      let rest = Array(bytes[start...])
      let length = "Content-Length: \(rest.count)\r\nContent-Range: bytes \(start)-\(bytes.count - 1)/\(bytes.count)"
      return .bytes(Array("HTTP/1.1 206 X\r\n\(length)\r\n\r\n".utf8) + rest)
    }
    let client = try HTTPClient()
    let digest = Digest(of: bytes)
    let path = folder.file("model")
    await #expect(throws: TransferError.self) {
      try await client.download(server.address, to: path, expecting: digest, maximumBytes: 1 << 20)
    }
    try await client.download(server.address, to: path, expecting: digest, maximumBytes: 1 << 20)
    #expect(try Array(Data(contentsOf: URL(filePath: path))) == bytes)
    let second = try #require(server.requests.last)
    #expect(second.header("range") == "bytes=50000-")
    #expect(second.header("if-range") == "\"\(digest.hexadecimal)\"")
  }

  @Test("a server without ranges sends everything, and a lying one is found out")
  func rangesIgnored() async throws {
    let folder = try TemporaryFolder()
    let digest = Digest(of: bytes)
    let path = folder.file("model")
    let partial = "model.\(digest.hexadecimal.prefix(16)).partial"
    let plain = try ScriptedServer { [bytes] _ in .answer(200, bytes) }
    let client = try HTTPClient()
    try folder.write(Array(bytes[..<1000]), to: partial)
    try await client.download(plain.address, to: path, expecting: digest, maximumBytes: 1 << 20)
    #expect(try Array(Data(contentsOf: URL(filePath: path))) == bytes)
    let liar = try ScriptedServer { [bytes] _ in .answer(206, bytes, headers: ["Content-Range: bytes 5-9/10"]) }
    try folder.write(Array(bytes[..<1000]), to: partial)
    let error = await #expect(throws: TransferError.self) {
      try await client.download(liar.address, to: folder.file("model"), expecting: digest, maximumBytes: 1 << 20)
    }
    #expect("\(error.map { "\($0)" } ?? "")".contains("range"))
  }

  @Test("a download over the bound is given up, announced or not, and an error body never becomes the file")
  func bounds() async throws {
    let folder = try TemporaryFolder()
    let server = try ScriptedServer { [bytes] request in
      switch request.path {
      case "/announced": .answer(200, bytes)
      case "/chunked": .last(Array("HTTP/1.1 200 X\r\nConnection: close\r\n\r\n".utf8) + bytes)
      default: .answer(404, Array("nothing here".utf8))
      }
    }
    let client = try HTTPClient()
    let digest = Digest(of: bytes)
    for path in ["/announced", "/chunked"] {
      await #expect(throws: TransferError.tooLarge(maximumBytes: 1000)) {
        try await client.download(server.address + path, to: folder.file("a"), expecting: digest, maximumBytes: 1000)
      }
    }
    let missing = await #expect(throws: TransferError.self) {
      try await client.download(server.address, to: folder.file("b"), expecting: digest, maximumBytes: 1000)
    }
    #expect(missing?.status == 404)
    #expect(!FileManager.default.fileExists(atPath: folder.file("b")))
  }

  @Test("a folder that is not there is said so")
  func noFolder() async throws {
    let client = try HTTPClient()
    let error = await #expect(throws: TransferError.self) {
      try await client.download("http://127.0.0.1:1/", to: "/nonexistent/x", expecting: Digest(of: [1]), maximumBytes: 10)
    }
    #expect("\(error.map { "\($0)" } ?? "")".contains("/nonexistent/x"))
  }

  @Test("an upload streams a file behind a head, with digest, ticket and progress")
  func upload() async throws {
    let folder = try TemporaryFolder()
    let server = try ScriptedServer { _ in .answer(201) }
    let client = try HTTPClient()
    let file = try folder.write(bytes, to: "update")
    let source = UploadSource(file: file, offset: 1000, head: Array("head".utf8))
    let expected = Array("head".utf8) + bytes[1000...]
    let (digest, count) = try source.measure()
    #expect(digest == Digest(of: expected))
    #expect(count == expected.count)
    let progress = Mutex<[Int64]>([])
    let status = try await client.upload(source, to: "\(server.address)/x", ticket: Ticket("secret"), digest: digest) { sent, total in
      progress.withLock { $0.append(total == Int64(count) ? sent : -1) }
    }
    #expect(status == 201)
    let request = try #require(server.requests.first)
    #expect(request.body == expected)
    #expect(request.header("content-digest") == digest.contentDigest)
    #expect(request.header("authorization") == "Bearer secret")
    let sent = progress.withLock(\.self)
    #expect(sent == sent.sorted() && sent.last == Int64(count))
  }

  @Test("an upload that cannot be read is refused before it starts")
  func unreadable() async throws {
    let folder = try TemporaryFolder()
    let client = try HTTPClient()
    let short = try folder.write([1], to: "short")
    let missing = folder.file("none")
    for (source, expected) in [
      (UploadSource(file: missing), TransferError.file(FileError(.opened, missing, ENOENT))),
      (UploadSource(file: short, offset: 2), .io("\(short) has 1 bytes, so it cannot be sent from byte 2 on")),
    ] {
      await #expect(throws: expected) {
        try await client.upload(source, to: "http://127.0.0.1:1/", ticket: nil, digest: Digest(of: [1]))
      }
    }
  }

  @Test("an early refusal ends an upload")
  func earlyRefusal() async throws {
    let folder = try TemporaryFolder()
    let file = try folder.write([UInt8](repeating: 1, count: 20 << 20), to: "large")
    let server = try EarlyServer()
    let client = try HTTPClient()
    let error = await #expect(throws: TransferError.self) {
      try await client.upload(file: file, to: server.address, ticket: nil, digest: Digest(of: [1]))
    }
    #expect(error?.status == 413, "\(error.map { "\($0)" } ?? "")")
  }
}

@Suite struct RetryTests {
  @Test("which failures pass, and how long the pause is")
  func policy() {
    var generator = SystemRandomNumberGenerator()
    let policy = RetryPolicy(attempts: 4, base: .milliseconds(100), cap: .milliseconds(300), patience: .seconds(10))
    func pause(_ error: TransferError, _ attempt: Int) -> Duration? { policy.pause(after: error, attempt: attempt, using: &generator) }
    func problem(_ status: Int, _ retryAfter: Double? = nil) -> TransferError {
      .problem(Problem(status: status, title: "", detail: ""), retryAfter: retryAfter)
    }
    for status in [400, 403, 404, 409, 410, 413, 422] { #expect(pause(problem(status), 1) == nil) }
    for error in [TransferError.cancelled, .tooLarge(maximumBytes: 1), .io("x")] { #expect(pause(error, 1) == nil) }
    for error in [problem(429), problem(503), problem(507), .unreachable(host: "", why: ""), .timedOut(host: "")] {
      for (attempt, most) in [(1, 100), (2, 200), (3, 300)] {
        let pause = pause(error, attempt)
        #expect(pause.map { (.zero ... .milliseconds(most)).contains($0) } == true)
      }
      #expect(pause(error, 4) == nil)
    }
    // The pause is what the server asks for plus up to half as much, so that clients with the same answer do not return together.
    let pauses = (0..<100).compactMap { _ in pause(problem(429, 5), 1) }
    #expect(pauses.allSatisfy { (.seconds(5) ... .milliseconds(7500)).contains($0) })
    #expect(Set(pauses).count > 90)
    for asked in [1e9, 1e21, 1e300, .infinity, .greatestFiniteMagnitude] {
      #expect(pause(problem(429, asked), 1).map { (.seconds(10) ... .seconds(15)).contains($0) } == true, "\(asked)")
    }
    for asked in [-1, -1e300, -.infinity, .nan] {
      #expect(pause(problem(503, asked), 1).map { (.zero ... .seconds(1)).contains($0) } == true)
    }
  }

  @Test("a request is repeated until it succeeds, or the attempts are used up")
  func repetition() async throws {
    let count = Mutex(0)
    let server = try ScriptedServer { _ in
      let number = count.withLock { count in
        count += 1
        return count
      }
      return number < 3 ? .answer(503) : .answer(200)
    }
    let client = try HTTPClient()
    let policy = RetryPolicy(attempts: 3, base: .milliseconds(1))
    let status = try await retrying(policy) { _ throws(TransferError) in try await client.send("GET", server.address).status }
    #expect(status == 200)
    count.withLock { $0 = -100 }
    let error = await #expect(throws: TransferError.self) {
      try await retrying(policy) { _ throws(TransferError) in try await client.send("GET", server.address).status }
    }
    #expect(error?.status == 503)
    #expect(server.requests.count == 6)
  }

  @Test("cancelling ends the pause")
  func cancellation() async throws {
    let task = Task {
      try await retrying(RetryPolicy(base: .seconds(3600), cap: .seconds(3600))) { _ throws(TransferError) -> Int in
        throw TransferError.unreachable(host: "x", why: "y")
      }
    }
    task.cancel()
    await #expect(throws: TransferError.cancelled) { try await task.value }
  }
}
