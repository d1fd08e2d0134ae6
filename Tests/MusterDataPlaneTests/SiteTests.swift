import HTTPTypes
import Hummingbird
import MusterSchema
import TestSupport
import Testing

@testable import MusterDataPlane
@testable import MusterServer

/// Requests that a browser sends from pages of other sites, and requests that programs send.
@Suite struct SiteTests {
  private func ask(_ method: String, _ fields: String...) async throws -> String {
    var answer = ""
    try await withOps { port in
      let connection = try RawConnection(port: port)
      let named = fields.contains { $0.hasPrefix("Host:") } ? fields : ["Host: 127.0.0.1:\(port)"] + fields
      let head = named.map { "\($0.replacing("PORT", with: "\(port)"))\r\n" }.joined()
      connection.say("\(method) /v1/tasks/digits/pause HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\(head)\r\n")
      answer = await connection.hear()
    }
    return answer
  }

  private func withOps(_ body: (Int) async throws -> Void) async throws {
    let names = [try Host(validating: "Muster.Example")]
    try await withListener(ListenerConfiguration(name: "ops", port: 0, names: names)) { router in
      for method in [HTTPRequest.Method.get, .post] {
        router.on("/v1/tasks/:task/:action", method: method) { _, _ in textResponse("done\n") }
      }
      router.get("healthz") { _, _ in textResponse("ok\n") }
    } _: { port in
      try await body(port)
    }
  }

  @Test(
    "Programs are let through: they name the server as their caller did, and send no Origin",
    arguments: ["127.0.0.1:PORT", "localhost:PORT", "[::1]:PORT", "10.0.0.5", "muster.example", "MUSTER.EXAMPLE:7401"])
  func programs(host: String) async throws {
    #expect(try await ask("POST", "Host: \(host)").hasPrefix("HTTP/1.1 200"))
    #expect(try await ask("GET", "Host: \(host)").hasPrefix("HTTP/1.1 200"))
  }

  @Test(
    "A page of another site is refused, whatever it tries",
    arguments: [
      ["Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Content-Type: text/plain"], ["Origin: http://evil.example"],
      ["Origin: null"], ["Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: same-site"], ["Origin: http://127.0.0.1:1"],
      ["Origin: http://127.0.0.1"],
      ["Origin: https://127.0.0.1:PORT/x"], ["Origin: "], ["Sec-Fetch-Site: "],
    ])
  func pages(fields: [String]) async throws {
    var answer = ""
    try await withOps { port in
      let connection = try RawConnection(port: port)
      let head = (["Host: 127.0.0.1:PORT"] + fields).map { "\($0.replacing("PORT", with: "\(port)"))\r\n" }.joined()
      connection.say("POST /v1/tasks/digits/pause HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\(head)\r\n")
      answer = await connection.hear()
    }
    #expect(answer.hasPrefix("HTTP/1.1 403"), "\(fields): \(answer)")
    #expect(answer.contains("may not use this API"))
  }

  @Test(
    "A name that was made to point here is refused, for reading, too",
    arguments: [
      "evil.example", "evil.example:PORT", "127.0.0.1.evil.example", "localhost.evil.example:80", "muster.example.evil", "user@127.0.0.1",
      "",
    ])
  func rebinding(host: String) async throws {
    for method in ["GET", "POST"] {
      let answer = try await ask(method, "Host: \(host)")
      #expect(answer.hasPrefix("HTTP/1.1 403") || answer.hasPrefix("HTTP/1.1 400"), "\(method): \(answer)")
      #expect(!answer.contains("done"))
    }
  }

  @Test("A page of the server itself may use it")
  func own() async throws {
    #expect(try await ask("POST", "Origin: http://127.0.0.1:PORT", "Sec-Fetch-Site: same-origin").hasPrefix("HTTP/1.1 200"))
    #expect(try await ask("GET", "Sec-Fetch-Site: none").hasPrefix("HTTP/1.1 200"))
  }

  @Test("The health is everybody's")
  func health() async throws {
    try await withOps { port in
      let connection = try RawConnection(port: port)
      connection.say("GET /healthz HTTP/1.1\r\nHost: probe.example\r\nConnection: close\r\n\r\n")
      #expect(await connection.hear().hasPrefix("HTTP/1.1 200"))
    }
  }
}
