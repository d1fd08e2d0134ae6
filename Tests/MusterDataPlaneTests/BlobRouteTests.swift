import FoundationEssentials
import MusterSchema
import MusterStorage
import MusterTransfer
import TestSupport
import Testing

@testable import MusterDataPlane
@testable import MusterServer

@Suite struct BlobRouteTests {
  @Test("a posted blob comes back under its digest")
  func roundTrip() async throws {
    try await TestServer.with { server in
      let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      let posted = try await server.client.send("POST", "\(server.address)/v1/blobs", body: bytes)
      #expect(posted.status == 201)
      let stored: StoredBlob = try posted.decode()
      #expect(stored == StoredBlob(digest: Digest(of: bytes), bytes: bytes.count))
      #expect(posted["location"] == "/v1/blobs/\(stored.digest)")
      for name in [stored.digest.description, stored.digest.hexadecimal] {
        let answer = try await server.client.send("GET", "\(server.address)/v1/blobs/\(name)")
        #expect(answer.status == 200)
        #expect(answer.body == bytes)
        #expect(answer["etag"] == "\"\(stored.digest.hexadecimal)\"")
        #expect(answer["accept-ranges"] == "bytes")
      }
    }
  }

  @Test("HEAD tells the size without the body")
  func head() async throws {
    try await TestServer.with { server in
      let digest = try server.blob(Array("0123456789".utf8))
      let answer = try await server.client.send("HEAD", "\(server.address)/v1/blobs/\(digest)")
      #expect(answer.status == 200)
      #expect(answer["content-length"] == "10")
      #expect(answer.body.isEmpty)
      let part = try await server.client.send("HEAD", "\(server.address)/v1/blobs/\(digest)", headers: [("Range", "bytes=2-3")])
      #expect(part.status == 206)
      #expect(part["content-length"] == "2")
    }
  }

  @Test(
    "ranges and conditions go by the digest",
    arguments: [
      ([("Range", "bytes=2-4")], 206, "234", "bytes 2-4/10"),
      ([("Range", "bytes=-5")], 206, "56789", "bytes 5-9/10"),
      ([("Range", "bytes=7-")], 206, "789", "bytes 7-9/10"),
      ([("Range", "bytes=0-1,3-4")], 200, "0123456789", nil),
      ([("Range", "bytes=2-4"), ("If-Range", "ETAG")], 206, "234", "bytes 2-4/10"),
      ([("Range", "bytes=2-4"), ("If-Range", "\"other\"")], 200, "0123456789", nil),
      ([("Range", "bytes=2-4"), ("If-Range", "Sat, 21 Nov 2026 10:00:00 GMT")], 200, "0123456789", nil),
      ([("If-None-Match", "ETAG")], 304, "", nil),
      ([("If-None-Match", "\"a\", W/ETAG")], 304, "", nil),
      ([("If-None-Match", "*")], 304, "", nil),
      ([("If-None-Match", "\"other\"")], 200, "0123456789", nil),
    ] as [([(String, String)], Int, String, String?)])
  func conditions(_ headers: [(String, String)], _ status: Int, _ body: String, _ range: String?) async throws {
    try await TestServer.with { server in
      let digest = try server.blob(Array("0123456789".utf8))
      let headers = headers.map {
        ($0.0, $0.1.split(separator: "ETAG", omittingEmptySubsequences: false).joined(separator: "\"\(digest.hexadecimal)\""))
      }
      let answer = try await server.client.send("GET", "\(server.address)/v1/blobs/\(digest)", headers: headers)
      #expect(answer.status == status)
      #expect(String(decoding: answer.body, as: UTF8.self) == body)
      #expect(answer["content-range"] == range)
    }
  }

  @Test("a range behind the end is refused with the size")
  func unsatisfiable() async throws {
    try await TestServer.with { server in
      let digest = try server.blob(Array("0123456789".utf8))
      let connection = try RawConnection(port: server.port)
      connection.say("GET /v1/blobs/\(digest) HTTP/1.1\r\nHost: x\r\nRange: bytes=10-\r\nConnection: close\r\n\r\n")
      let text = await connection.hear().lowercased()
      #expect(text.hasPrefix("http/1.1 416"))
      #expect(text.contains("content-range: bytes */10"))
      #expect(text.contains("application/problem+json"))
    }
  }

  @Test("a large blob streams whole, in parts, and to many at once")
  func large() async throws {
    try await TestServer.with { server in
      let bytes = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ $0 >> 9) }
      let digest = try server.blob(bytes)
      let url = "\(server.address)/v1/blobs/\(digest)"
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<8 {
          group.addTask {
            let path = server.folder.file("copy-\(index)")
            try await server.client.download(url, to: path, expecting: digest, maximumBytes: 8 << 20)
            #expect(try Data(contentsOf: URL(filePath: path)).count == bytes.count)
          }
        }
        try await group.waitForAll()
      }
      let part = try await server.client.send("GET", url, headers: [("Range", "bytes=1000000-1999999")])
      #expect(part.body == Array(bytes[1_000_000..<2_000_000]))
    }
  }

  @Test("an interrupted download is continued by range")
  func resume() async throws {
    try await TestServer.with { server in
      let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 17) }
      let digest = try server.blob(bytes)
      let path = server.folder.file("model")
      let url = "\(server.address)/v1/blobs/\(digest)"
      for left in [100_000, 300_000, 0] {
        try Data(bytes[..<left]).write(to: URL(filePath: "\(path).\(digest.hexadecimal.prefix(16)).partial"))
        try await server.client.download(url, to: path, expecting: digest, maximumBytes: 1 << 20)
        #expect(try Array(Data(contentsOf: URL(filePath: path))) == bytes)
      }
      // A partial file with other bytes is detected, and the download starts again.
      try Data(repeating: 9, count: 1000).write(to: URL(filePath: "\(path).\(digest.hexadecimal.prefix(16)).partial"))
      try await server.client.download(url, to: path, expecting: digest, maximumBytes: 1 << 20)
      #expect(try Array(Data(contentsOf: URL(filePath: path))) == bytes)
    }
  }

  @Test("what is no digest, what is not there and what has no route are problems")
  func missing() async throws {
    try await TestServer.with { server in
      for (path, status) in [
        ("/v1/blobs/abc", 400), ("/v1/blobs/..%2F..%2Fsecret", 400), ("/v1/blobs/\(Digest(of: [7]))", 404), ("/nothing", 404), ("/", 404),
      ] {
        let error = await #expect(throws: TransferError.self) { try await server.client.send("GET", "\(server.address)\(path)") }
        #expect(error?.status == status, "\(path)")
        #expect(error?.problem?.detail.isEmpty == false, "\(path)")
      }
      let error = await #expect(throws: TransferError.self) { try await server.client.send("DELETE", "\(server.address)/v1/blobs/x") }
      #expect(error?.status == 404)
    }
  }

  @Test("a blob over the bound is refused, announced or not, and one with another digest too")
  func refused() async throws {
    try await TestServer.with { server in
      let url = "\(server.address)/v1/blobs"
      let large = [UInt8](repeating: 1, count: (1 << 20) + 1)
      let announced = await #expect(throws: TransferError.self) { try await server.client.send("POST", url, body: large) }
      #expect(announced?.status == 413)
      let connection = try RawConnection(port: server.port)
      connection.say("POST /v1/blobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n")
      connection.say(large + Array("\r\n0\r\n\r\n".utf8))
      #expect(await connection.hear(until: "}").hasPrefix("HTTP/1.1 413"))
      for (digest, status) in [(Digest(of: [2]).contentDigest, 422), ("sha-256=:abc:", 400), ("md5=:abc:", 400)] {
        let wrong = await #expect(throws: TransferError.self) {
          try await server.client.send("POST", url, body: [1], headers: [("Content-Digest", digest)])
        }
        #expect(wrong?.status == status)
      }
      #expect(try await eventually { try server.staged == 0 })
    }
  }
}
