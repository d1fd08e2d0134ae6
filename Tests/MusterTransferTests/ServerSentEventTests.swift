import TestSupport
import Testing

@testable import MusterTransfer

@Suite("Streams of events")
struct ServerSentEventTests {
  private static let stream =
    ": hello\n\nevent: snapshot\nid: 7\ndata: {\"a\":1}\n\ndata: one\r\ndata:two\r\nretry: 5\r\n\r\nevent: now\rdata\r\rid: 8\n\nevent: cut\ndata: off"
  private static let events = [
    ServerSentEvent(name: "snapshot", id: "7", data: "{\"a\":1}"), ServerSentEvent(name: "message", id: "7", data: "one\ntwo"),
    ServerSentEvent(name: "now", id: "7", data: ""),
  ]

  @Test("an event is read however its bytes are cut, with all ends of lines", arguments: [1, 2, 3, 7, 1000])
  func cuts(length: Int) throws {
    var parser = EventParser()
    var events: [ServerSentEvent] = []
    var rest = Array(Self.stream.utf8)[...]
    while !rest.isEmpty {
      events += try #require(Array(rest.prefix(length)).withUnsafeBytes { parser.read($0) })
      rest = rest.dropFirst(length)
    }
    #expect(events == Self.events)
  }

  @Test("an id without data counts for the next event, and an event without an end has a bound")
  func idsAndBounds() throws {
    var parser = EventParser()
    let events = Array("id: 3\n\ndata: x\n\n".utf8).withUnsafeBytes { parser.read($0) }
    #expect(events == [ServerSentEvent(name: "message", id: "3", data: "x")])
    let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
    for _ in 0..<16 { #expect(piece.withUnsafeBytes { parser.read($0) } == []) }
    #expect(piece.withUnsafeBytes { parser.read($0) } == nil)
  }

  @Test("a stream hands events on as they come, says where it goes on, and ends with its connection")
  func follow() async throws {
    let server = try ScriptedServer { _ in .last(Array("HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\n\(Self.stream)".utf8)) }
    let client = try HTTPClient()
    var events: [ServerSentEvent] = []
    for try await event in client.events(from: "\(server.address)/v1/events", after: "6") { events.append(event) }
    #expect(events == Self.events)
    let request = try #require(server.requests.first)
    #expect(request.header("accept") == "text/event-stream" && request.header("last-event-id") == "6")
  }

  @Test("an answer that is an error is one")
  func refused() async throws {
    let server = try ScriptedServer { _ in .answer(404, Array(#"{"title":"Not found","status":404,"detail":"there is no such task"}"#.utf8))
    }
    let client = try HTTPClient()
    let error = await #expect(throws: TransferError.self) {
      for try await _ in client.events(from: "\(server.address)/v1/events") {}
    }
    #expect(error?.status == 404)
  }

  @Test("who stops reading ends the transfer")
  func abandoned() async throws {
    let head = "HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\n"
    // The server keeps the connection open after its answer, and waits for the next request.
    let server = try ScriptedServer { _ in .text("\(head)data: first\n\n") }
    let client = try HTTPClient()
    for try await event in client.events(from: server.address) {
      #expect(event.data == "first")
      break
    }
    #expect(try await eventually { server.closed == 1 })
  }
}
