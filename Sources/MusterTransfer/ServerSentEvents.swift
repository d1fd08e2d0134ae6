import Synchronization

/// An event of a server-sent event stream (`text/event-stream`, WHATWG HTML).
package struct ServerSentEvent: Hashable, Sendable {
  /// The event's name; `message` when the server gave none.
  package var name: String
  /// The last id that the server gave, with this event or an earlier one. It is the value for `Last-Event-ID`.
  package var id: String?
  package var data: String
}

extension HTTPClient {
  /// Follows a stream of events until the server ends it or the reader stops. It does not reconnect; the reader can, with the last id.
  ///
  /// - Returns: the events. The stream throws ``TransferError``.
  package func events(from url: String, after id: String? = nil) -> AsyncThrowingStream<ServerSentEvent, any Error> {
    AsyncThrowingStream { continuation in
      let parser = Mutex(EventParser())
      var headers = [("Accept", "text/event-stream")]
      if let id { headers.append(("Last-Event-ID", id)) }
      let request = TransferRequest(
        method: "GET", url: url, headers: headers,
        sink: .stream { bytes in
          guard let events = parser.withLock({ $0.read(bytes) }) else { return false }
          for event in events { continuation.yield(event) }
          return true
        })
      // A task of its own, because the stream outlives this call. `onTermination` below ends it.
      let transfer = Task {
        do {
          _ = try await run(request)
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in transfer.cancel() }
    }
  }
}

/// Parses a stream of events from pieces of bytes that may be cut anywhere.
struct EventParser: Sendable {
  /// The largest size of one event in bytes.
  static let mostBytes = 16 << 20

  private var line: [UInt8] = []
  private var endedWithReturn = false
  private var name = ""
  private var id: String?
  private var data: [String] = []
  private var bytes = 0

  /// - Returns: the events that end in these bytes; `nil` when an event is larger than ``mostBytes``.
  mutating func read(_ piece: UnsafeRawBufferPointer) -> [ServerSentEvent]? {
    var events: [ServerSentEvent] = []
    for byte in piece {
      defer { endedWithReturn = byte == UInt8(ascii: "\r") }
      switch byte {
      case UInt8(ascii: "\n") where endedWithReturn: continue
      case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
        if let event = endLine() { events.append(event) }
      default:
        bytes += 1
        guard bytes <= Self.mostBytes else { return nil }
        line.append(byte)
      }
    }
    return events
  }

  /// Handles a complete line. An empty line ends an event.
  private mutating func endLine() -> ServerSentEvent? {
    defer { line.removeAll(keepingCapacity: true) }
    guard !line.isEmpty else {
      defer { (name, data, bytes) = ("", [], 0) }
      return data.isEmpty ? nil : ServerSentEvent(name: name.isEmpty ? "message" : name, id: id, data: data.joined(separator: "\n"))
    }
    let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
    var value = line[min(colon + 1, line.endIndex)...]
    if value.first == UInt8(ascii: " ") { value.removeFirst() }
    let text = String(decoding: value, as: UTF8.self)
    switch String(decoding: line[..<colon], as: UTF8.self) {
    case "event": name = text
    case "data": data.append(text)
    case "id" where !text.utf8.contains(0): id = text
    // A comment has an empty field name. Other fields, such as `retry`, are ignored.
    default: break
    }
    return nil
  }
}
