import Hummingbird
import MusterSchema
import MusterStorage
import MusterTransfer
import NIOCore
import TestSupport
import Testing

@testable import MusterDataPlane
@testable import MusterServer

@Suite struct ListenerTests {
  @Test("a port in use is said so, with the setting that helps")
  func portInUse() async throws {
    try await TestServer.with { server in
      let second = Listener(ListenerConfiguration(name: "data", port: server.port), logger: quiet) { _ in }
      let error = await #expect(throws: ListenerError.self) { try await second.run() }
      #expect(
        error?.description == "port \(server.port) on 127.0.0.1 is in use by another program; stop that program, or set data.port")
    }
  }

  @Test("a host that is not ours is said so", arguments: ["192.0.2.1", "no-such-host.invalid"])
  func foreignHost(_ host: String) async throws {
    let listener = Listener(ListenerConfiguration(name: "ops", host: host, port: try freePort()), logger: quiet) { _ in }
    let error = await #expect(throws: ListenerError.self) { try await listener.run() }
    #expect(error?.description.contains("ops.host") == true)
    #expect(error?.description.contains(host) == true)
  }

  @Test("every error becomes a problem, once")
  func errors() async throws {
    struct Surprise: Error {}
    try await TestServer.with { server in
      for (name, status) in [("problem", 418), ("full", 507), ("damaged", 503), ("surprise", 500), ("identifier", 400)] {
        let error = await #expect(throws: TransferError.self) {
          try await server.client.send("GET", "\(server.address)/fail/\(name)")
        }
        #expect(error?.status == status)
        #expect(error?.problem?.description.contains("secret") == false)
      }
    } routes: { router in
      router.get("/fail/:how") { _, context -> Response in
        switch context.parameters.get("how") {
        case "problem": throw Problem(status: 418, title: "Teapot", detail: "short and stout")
        case "full": throw StorageError.diskFull("a secret path")
        case "damaged": throw StorageError.corrupt("a secret path")
        case "identifier": _ = try TaskID(validating: "#")
        default: break
        }
        throw Surprise()
      }
    }
  }

  @Test("JSON bodies are bounded, and what is wrong with one is named")
  func json() async throws {
    try await TestServer.with { server in
      let url = "\(server.address)/echo"
      let value = Evaluation(base: Digest(of: [1]), weight: 2, metrics: ["a": 1])
      let echo: Evaluation = try await server.client.send("POST", url, json: value).decode()
      #expect(echo == value)
      let wrong = await #expect(throws: TransferError.self) {
        try await server.client.send("POST", url, body: Array(#"{"base":1}"#.utf8))
      }
      #expect(wrong?.status == 400)
      #expect(wrong?.problem?.detail == "base: expected a string")
      let large = await #expect(throws: TransferError.self) {
        try await server.client.send("POST", url, body: [UInt8](repeating: 32, count: 1001))
      }
      #expect(large?.status == 413)
    } routes: { router in
      router.post("/echo") { request, context in
        try jsonResponse(try await request.json(Evaluation.self, context: context, upTo: 1000))
      }
    }
  }

  @Test("garbage instead of HTTP is answered and does no harm")
  func garbage() async throws {
    try await TestServer.with { server in
      for text in ["\0\u{1}\u{2}garbage\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "PUT / HTTP/1.1\r\nContent-Length: -5\r\n\r\n"] {
        let connection = try RawConnection(port: server.port)
        connection.say(text)
        connection.finish()
        #expect(await !connection.hear().hasPrefix("HTTP/1.1 2"))
      }
      let digest = try server.blob([1])
      #expect(try await server.client.send("GET", "\(server.address)/v1/blobs/\(digest)").status == 200)
    }
  }

  @Test("accepted connections send without delay")
  func noDelay() async throws {
    try await TestServer.with { server in
      let answer = try await server.client.send("GET", "\(server.address)/nodelay")
      #expect(answer.body == Array("1".utf8))
    } routes: { router in
      router.get("/nodelay") { _, context in
        let option = try await context.channel?.getOption(.tcpOption(.tcp_nodelay)).get()
        return "\(option ?? -1)"
      }
    }
  }

  @Test("dates are written as HTTP wants them")
  func dates() {
    #expect(httpDate(0) == "Thu, 01 Jan 1970 00:00:00 GMT")
    #expect(httpDate(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
  }
}
