import HTTPTypes
import Hummingbird
import HummingbirdCore
import MusterSchema
import MusterServer
import MusterStorage
import NIOCore
import ServiceLifecycle

/// `GET /v1/events` as a stream (`text/event-stream`, WHATWG HTML, server-sent events): a snapshot, followed by changes.
///
/// Durable events have ids, and a client that reconnects with `Last-Event-ID` gets those that it missed. Current states (`now`) have no id:
/// they are not stored, and the next look has them again.
struct EventStream {
  private let central: Central
  private let filter: EventFilter
  private let bell: (stream: AsyncStream<Void>, ring: AsyncStream<Void>.Continuation)
  /// The last event that the client has seen.
  private var last: Int
  private var needsSnapshot: Bool
  /// Events that the client missed, sent before the first look.
  private var backlog: [TaskEvent] = []
  /// The last state that was sent of each running task.
  private var shown: [TaskID: RoundState] = [:]

  /// - Parameter last: the number in `Last-Event-ID`.
  init(_ central: Central, _ filter: EventFilter, after last: Int?) async throws {
    self.central = central
    self.filter = filter
    if let task = filter.task { _ = try await central.history.row(task) }
    let page = try await central.events(EventFilter(), PageRequest(limit: 1))
    let newest = page.rows.first?.number ?? 0
    if let last, last <= newest {
      backlog = try await central.history.ask { (store) throws(StorageError) in
        try await store.events(filter, since: last, most: EventFeed.most + 1)
      }
    }
    // A client that missed more events gets a snapshot. So does a client whose last event is from another store.
    needsSnapshot = last.map { $0 > newest } ?? true || backlog.count > EventFeed.most
    if needsSnapshot { backlog = [] }
    self.last = max(newest, backlog.last?.number ?? 0)
    bell = try central.feed.bell.listen()
    // Requests the first look.
    central.feed.noteChange()
  }

  /// - Parameter request: the request, which shows when its client has disconnected.
  func response(to request: Request) -> Response {
    let stream = self
    return Response(
      status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
      body: ResponseBody { writer in
        let ring = stream.bell.ring
        defer { ring.finish() }
        try await request.body.consumeWithInboundCloseHandler { _ in
          var stream = stream
          try await withGracefulShutdownHandler {
            try await stream.write(to: &writer)
          } onGracefulShutdown: {
            ring.finish()
          }
        } onInboundClosed: {
          ring.finish()
        }
        try await writer.finish(nil)
      })
  }

  private mutating func write(to writer: inout any ResponseBodyWriter) async throws {
    var spoke = ContinuousClock.now
    for await _ in bell.stream {
      var text = try await news()
      if text.isEmpty, .now - spoke >= EventFeed.heartbeat / 2 { text = ":\n\n" }
      guard !text.isEmpty else { continue }
      try await writer.write(ByteBuffer(string: text))
      spoke = .now
    }
  }

  /// The news that the client has not seen.
  private mutating func news() async throws -> String {
    let look = await central.feed.look
    // The client was too slow, and events that it has not seen are no longer in memory.
    if let first = look.events.first?.number, last < first - 1, look.newest - last > EventFeed.most { needsSnapshot = true }
    var text = ""
    if needsSnapshot {
      needsSnapshot = false
      last = max(last, look.newest)
      let snapshot = try await snapshot(look)
      shown = Dictionary(snapshot.now.map { ($0.task, $0.lasting) }, uniquingKeysWith: { $1 })
      text += try event("snapshot", snapshot, id: last)
    }
    for record in backlog { text += try event("record", record, id: record.number) }
    backlog = []
    for record in look.events where record.number > last {
      last = record.number
      if filter.matches(record) { text += try event("record", record, id: record.number) }
    }
    let states = look.states.filter { filter.task == nil || $0.task == filter.task }
    for state in states where shown[state.task] != state.lasting {
      shown[state.task] = state.lasting
      text += try event("now", state, id: nil)
    }
    // Tasks that ended: their final states.
    for task in Set(shown.keys).subtracting(states.map(\.task)).sorted() {
      let state = try await central.now(task)
      if shown.removeValue(forKey: task) != state.lasting { text += try event("now", state, id: nil) }
    }
    return text
  }

  private func snapshot(_ look: EventFeed.Look) async throws -> EventSnapshot {
    if let task = filter.task {
      return EventSnapshot(tasks: [try await central.summary(task)], now: [try await central.now(task)])
    }
    let page = PageRequest(limit: PageRequest.most)
    return EventSnapshot(tasks: try await central.summaries(TaskFilter(isOpen: true), page).rows, now: look.states)
  }

  private func event(_ name: String, _ value: some Encodable, id: Int?) throws -> String {
    let data = String(decoding: try JSON.encode(value), as: UTF8.self)
    return "event: \(name)\n" + (id.map { "id: \($0)\n" } ?? "") + "data: \(data)\n\n"
  }
}

extension EventFilter {
  fileprivate func matches(_ event: TaskEvent) -> Bool {
    (task == nil || task == event.task) && (kind == nil || kind == event.kind)
  }
}

extension RoundState {
  /// The state without its countdown, which changes all the time.
  fileprivate var lasting: RoundState {
    var state = self
    state.closesInSeconds = nil
    return state
  }
}
