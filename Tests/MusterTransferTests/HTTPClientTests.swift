import MusterSchema
import Synchronization
import TestSupport
import Testing

@testable import MusterTransfer

@Suite struct HTTPClientTests {
  @Test("a request carries method, headers and body, and the answer comes back")
  func exchange() async throws {
    let server = try ScriptedServer {
      .answer(
        201, Array("done".utf8), headers: ["X-Note:  spaced  "] + [$0.header("x-ask") ?? ""].filter { !$0.isEmpty }.map { "X-Heard: \($0)" }
      )
    }
    let client = try HTTPClient()
    let answer = try await client.send(
      "PUT", "\(server.address)/a?b=c", body: Array("body".utf8), contentType: "text/plain", headers: [("X-Ask", "this")])
    #expect(answer.status == 201)
    #expect(answer.body == Array("done".utf8))
    #expect(answer["x-note"] == "spaced")
    #expect(answer["x-heard"] == "this")
    let request = try #require(server.requests.first)
    #expect(request.head.hasPrefix("PUT /a?b=c HTTP/1.1\r\n"))
    #expect(request.body == Array("body".utf8))
    #expect(request.header("content-type") == "text/plain")
    #expect(request.header("content-length") == "4")
    #expect(request.header("expect") == nil)
    #expect(request.header("user-agent")?.hasPrefix("muster/") == true)
  }

  @Test("a POST without a body says so, a GET and a HEAD have none")
  func bodiless() async throws {
    let server = try ScriptedServer { $0.method == "HEAD" ? .text("HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n") : .answer(200) }
    let client = try HTTPClient()
    for method in ["POST", "GET", "HEAD", "DELETE"] { #expect(try await client.send(method, server.address).status == 200) }
    #expect(server.requests.map(\.method) == ["POST", "GET", "HEAD", "DELETE"])
    #expect(server.requests.map { $0.header("content-length") } == ["0", nil, nil, nil])
  }

  @Test("JSON is sent and read")
  func json() async throws {
    let server = try ScriptedServer { .answer(200, $0.body.isEmpty ? Array(#"{"a":1}"#.utf8) : $0.body) }
    let client = try HTTPClient()
    let value: [String: Int] = try await client.get(from: server.address)
    #expect(value == ["a": 1])
    let echo: [String: Int] = try await client.send("POST", server.address, json: ["b": 2]).decode()
    #expect(echo == ["b": 2])
    await #expect { try await client.get([Int].self, from: server.address) } throws: { "\($0)".contains("expected a list") }
  }

  @Test("connections are kept, and a small request takes no timer's time")
  func keepAlive() async throws {
    let server = try ScriptedServer { _ in .answer(200) }
    let client = try HTTPClient()
    let clock = ContinuousClock()
    var times: [Duration] = []
    for _ in 0..<200 {
      let start = clock.now
      _ = try await client.send("GET", server.address)
      times.append(clock.now - start)
    }
    #expect(server.connections == 1)
    // This takes well under a millisecond on an idle machine.
    #expect(times.sorted()[100] < .milliseconds(20), "median \(times.sorted()[100])")
  }

  @Test("a connection that the server closed meanwhile is replaced without an error")
  func staleConnection() async throws {
    let server = try ScriptedServer { _ in .last(Array("HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n".utf8)) }
    let client = try HTTPClient()
    for _ in 0..<5 { #expect(try await client.send("PUT", server.address, body: [1, 2, 3]).status == 200) }
    #expect(server.requests.allSatisfy { $0.body == [1, 2, 3] })
  }

  @Test("many requests at once share one thread")
  func concurrent() async throws {
    let server = try ScriptedServer { .answer(200, Array($0.path.utf8)) }
    let client = try HTTPClient()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for index in 0..<50 {
        group.addTask {
          let answer = try await client.send("GET", "\(server.address)/\(index)")
          #expect(answer.body == Array("/\(index)".utf8))
        }
      }
      try await group.waitForAll()
    }
  }

  @Test("an error answer is a problem, whatever its body is")
  func problems() async throws {
    let problem = Problem(status: 422, title: "Invalid", detail: "wrong base")
    let server = try ScriptedServer { request in
      switch request.path {
      case "/problem": .answer(422, (try? JSON.encode(problem)) ?? [])
      case "/busy": .answer(429, Array("later".utf8), headers: ["Retry-After: 7"])
      case "/patient": .answer(429, headers: ["Retry-After: 1e21"])
      case "/hasty": .answer(429, headers: ["Retry-After: -5"])
      case "/status": .text("HTTP/1.1 99999999999999999999 X\r\nContent-Length: 0\r\n\r\n")
      case "/html": .answer(502, Array("<html>\u{1}bad\u{7}gateway</html>".utf8))
      case "/long": .answer(500, [UInt8](repeating: 0x61, count: 1 << 20))
      default: .answer(302, headers: ["Location: http://127.0.0.1:1/elsewhere"])
      }
    }
    let client = try HTTPClient()
    func error(_ path: String) async -> TransferError? {
      await #expect(throws: TransferError.self) { try await client.send("GET", server.address + path) }
    }
    #expect(await error("/problem") == .problem(problem, retryAfter: nil))
    #expect(await error("/busy") == .problem(Problem(status: 429, title: "HTTP 429", detail: "later"), retryAfter: 7))
    for (path, seconds) in [("/patient", 1e9), ("/hasty", nil)] {
      guard case .problem(_, let retryAfter) = await error(path) else {
        Issue.record("\(path) is no problem")
        continue
      }
      #expect(retryAfter == seconds)
    }
    // For an impossible status, libcurl either gives the connection up or reports status 0.
    do throws(TransferError) {
      #expect(try await client.send("GET", server.address + "/status").status == 0)
    } catch {
      #expect(error.problem == nil)
    }
    #expect(await error("/html")?.problem?.detail == "<html>\u{FFFD}bad\u{FFFD}gateway</html>")
    #expect(await error("/long")?.problem?.detail.count == 200)
    let redirect = await error("/away")
    #expect(redirect?.status == 302)
    #expect(redirect?.problem?.detail.contains("not followed") == true)
  }

  @Test("an answer over the bound is given up")
  func bounded() async throws {
    let server = try ScriptedServer { _ in .answer(200, [UInt8](repeating: 1, count: 1001)) }
    let client = try HTTPClient(HTTPConfiguration(maximumBody: 1000))
    await #expect(throws: TransferError.tooLarge(maximumBytes: 1000)) { try await client.send("GET", server.address) }
  }

  @Test("a server that is away, hangs up or falls silent is told apart")
  func unreachable() async throws {
    let client = try HTTPClient(HTTPConfiguration(connectSeconds: 2, stallSeconds: 1))
    let port = try freePort()
    let away = await #expect(throws: TransferError.self) { try await client.send("GET", "http://127.0.0.1:\(port)/x") }
    guard case .unreachable(let host, _) = away else { throw TestSupportError("\(String(describing: away))") }
    #expect(host == "127.0.0.1:\(port)")
    let rude = try ScriptedServer { _ in .last([]) }
    let cut = await #expect(throws: TransferError.self) { try await client.send("GET", rude.address) }
    guard case .unreachable = cut else { throw TestSupportError("\(String(describing: cut))") }
    let half = try ScriptedServer { _ in .last(Array("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\n12345".utf8)) }
    let short = await #expect(throws: TransferError.self) { try await client.send("GET", half.address) }
    guard case .unreachable = short else { throw TestSupportError("\(String(describing: short))") }
    let silent = try ScriptedServer { _ in .silence }
    await #expect(throws: TransferError.timedOut(host: "127.0.0.1:\(silent.port)")) { try await client.send("GET", silent.address) }
  }

  @Test(
    "addresses and headers that are none are refused before anything is sent",
    arguments: ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "", "http://", "http://127.0.0.1:99999/", "http://a b/"])
  func addresses(_ url: String) async throws {
    let client = try HTTPClient()
    let error = await #expect(throws: TransferError.self) { try await client.send("GET", url) }
    #expect(error?.isTransient == false, "\(error.map { "\($0)" } ?? "")")
  }

  @Test("a header cannot smuggle another one in")
  func headerInjection() async throws {
    let server = try ScriptedServer { _ in .answer(200) }
    let client = try HTTPClient()
    await #expect(throws: TransferError.self) { try await client.send("GET", server.address, headers: [("A", "b\r\nX-Evil: 1")]) }
    #expect(server.requests.isEmpty)
  }

  @Test("cancelling the task ends the transfer and its connection")
  func cancellation() async throws {
    let server = try ScriptedServer { _ in .silence }
    let client = try HTTPClient()
    let task = Task { try await client.send("GET", server.address) }
    let isThere = try await eventually { server.requests.count == 1 }
    #expect(isThere)
    task.cancel()
    await #expect(throws: TransferError.cancelled) { try await task.value }
    let isClosed = try await eventually { server.closed == 1 }
    #expect(isClosed)
    let late = Task {
      while !Task.isCancelled { await Task.yield() }
      return try await client.send("GET", server.address)
    }
    late.cancel()
    await #expect(throws: TransferError.cancelled) { try await late.value }
  }

  @Test("cancelling at any moment neither hangs nor answers twice")
  func cancellationRace() async throws {
    let server = try ScriptedServer { _ in .answer(200) }
    let client = try HTTPClient()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for index in 0..<100 {
        group.addTask {
          let task = Task { try await client.send("GET", server.address) }
          for _ in 0..<(index % 10) { await Task.yield() }
          task.cancel()
          do {
            _ = try await task.value
          } catch TransferError.cancelled {}
        }
      }
      try await group.waitForAll()
    }
  }

  @Test("a client that goes away ends its connections")
  func endOfClient() async throws {
    let server = try ScriptedServer { _ in .answer(200) }
    do {
      let client = try HTTPClient()
      _ = try await client.send("GET", server.address)
    }
    let isClosed = try await eventually { server.closed == 1 }
    #expect(isClosed)
  }
}
