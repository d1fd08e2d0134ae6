import Synchronization

/// An event of a stream (`text/event-stream`, WHATWG HTML, server-sent events).
package struct ServerSentEvent: Hashable, Sendable {
  /// `message` when the server named none.
  package var name: String
  /// The last one that the server gave, with this event or an earlier one: what `Last-Event-ID` takes.
  package var id: String?
  package var data: String
}

extension HTTPClient {
  /// Follows a stream of events until the server ends it, or nobody reads any more. It does not connect again: that is for the reader, with
  /// the last id.
  ///
  /// - Returns: the events; it throws ``TransferError``.
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

/// Reads a stream of events from its bytes, however they are cut.
struct EventParser: Sendable {
  /// Of one event.
  static let mostBytes = 16 << 20

  private var line: [UInt8] = []
  private var endedWithReturn = false
  private var name = ""
  private var id: String?
  private var data: [String] = []
  private var bytes = 0

  /// - Returns: the events that end in these bytes; nil when one is larger than any may be.
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

  /// A line is through; an empty one ends an event.
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
    // A comment has no name. What else there may be is not for us.
    default: break
    }
    return nil
  }
}
