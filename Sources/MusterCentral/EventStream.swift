import HTTPTypes
import Hummingbird
import MusterCoordination
import MusterDataPlane
import MusterRuntime
import MusterSchema
import MusterStorage
import NIOCore
import ServiceLifecycle

/// `GET /v1/events` as a stream (`text/event-stream`, WHATWG HTML, server-sent events): a snapshot, then what changes.
///
/// Events that are durable have ids; a client that comes back with `Last-Event-ID` gets those that it missed. What happens now (`now`) has
/// none: it is in no table, and the next look says it again.
struct EventStream {
  let central: Central
  let filter: EventFilter
  private let bell: (stream: AsyncStream<Void>, ring: AsyncStream<Void>.Continuation)
  /// The last event that the client has seen.
  private var last: Int
  private var needsSnapshot: Bool
  /// What was said last of each task.
  private var shown: [TaskID: RoundState] = [:]

  /// Between two looks, so that many small changes are told of together.
  private static let pause = Duration.milliseconds(250)
  /// A comment after so long without an event keeps the connection open.
  private static let heartbeat = Duration.seconds(15)
  /// A client that missed more than these gets a snapshot.
  private static let most = 1000

  /// - Parameter last: `Last-Event-ID`.
  init(_ central: Central, _ filter: EventFilter, after last: Int?) async throws(Problem) {
    self.central = central
    self.filter = filter
    if let task = filter.task { _ = try await central.row(task) }
    let newest = try await central.stored { (store) throws(StorageError) in try await store.events(EventFilter(), PageRequest(limit: 1)) }
    let number = newest.rows.first?.number ?? 0
    let missed = last.map { number - $0 } ?? .max
    needsSnapshot = !(0...Self.most).contains(missed)
    self.last = needsSnapshot ? number : last ?? number
    bell = try central.bell.listen()
  }

  var response: Response {
    let stream = self
    return Response(
      status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
      body: ResponseBody { writer in
        var stream = stream
        let ring = stream.bell.ring
        defer { ring.finish() }
        try await withGracefulShutdownHandler {
          try await stream.write(to: &writer)
        } onGracefulShutdown: {
          ring.finish()
        }
        try await writer.finish(nil)
      })
  }

  private mutating func write(to writer: inout any ResponseBodyWriter) async throws {
    let (ring, stream) = (bell.ring, bell.stream)
    let ticking = Task {
      while true {
        try await Task.sleep(for: Self.heartbeat)
        ring.yield()
      }
    }
    defer { ticking.cancel() }
    ring.yield()
    var spoke = ContinuousClock.now
    for await _ in stream {
      var text = try await news()
      if text.isEmpty, .now - spoke >= Self.heartbeat / 2 { text = ":\n\n" }
      if !text.isEmpty {
        try await writer.write(ByteBuffer(string: text))
        spoke = .now
      }
      try await Task.sleep(for: Self.pause)
    }
  }

  /// What the client has not seen.
  private mutating func news() async throws -> String {
    var text = ""
    if needsSnapshot {
      needsSnapshot = false
      let snapshot = try await snapshot()
      shown = Dictionary(snapshot.now.map { ($0.task, $0.lasting) }, uniquingKeysWith: { $1 })
      text += try event("snapshot", snapshot, id: last)
    }
    let since = last
    for record in try await central.stored({ (store) throws(StorageError) in
      try await store.events(filter, since: since, most: Self.most)
    }) {
      text += try event("record", record, id: record.number)
      last = record.number
    }
    for state in await states() where shown[state.task] != state.lasting {
      shown[state.task] = state.lasting
      text += try event("now", state, id: nil)
    }
    return text
  }

  private func snapshot() async throws -> EventSnapshot {
    let tasks =
      if let task = filter.task { [try await central.summary(task)] } else {
        try await central.summaries(TaskFilter(isOpen: true), PageRequest(limit: PageRequest.most)).rows
      }
    return EventSnapshot(tasks: tasks, now: await states())
  }

  /// What happens now in the tasks that are followed.
  private func states() async -> [RoundState] {
    let task = filter.task
    return await central.shell.read { machine in
      (task.map { [$0] } ?? machine.openTaskIDs).compactMap { machine.roundState($0) }
    }
  }

  private func event(_ name: String, _ value: some Encodable, id: Int?) throws -> String {
    let data = String(decoding: try JSON.encode(value), as: UTF8.self)
    return "event: \(name)\n" + (id.map { "id: \($0)\n" } ?? "") + "data: \(data)\n\n"
  }
}

extension RoundState {
  /// Without the countdown, which changes by itself.
  fileprivate var lasting: RoundState {
    var state = self
    state.closesInSeconds = nil
    return state
  }
}
