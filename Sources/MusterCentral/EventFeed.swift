import Logging
import MusterCoordination
import MusterGround
import MusterSchema
import MusterServer
import MusterStorage

/// The content of event streams, read once for all of them, at most four times a second, and only while there are streams.
actor EventFeed {
  /// The newest events and the current state of tasks.
  struct Look: Sendable {
    /// The newest events, in order.
    var events: [TaskEvent] = []
    /// The current states of the running tasks.
    var states: [RoundState] = []
    var newest: Int { events.last?.number ?? 0 }
  }

  private(set) var look = Look()
  /// Rings when there is a new look, and at every ``heartbeat``.
  nonisolated let bell = EventBell()

  private let store: any Store
  private let shell: Shell<Coordinator>
  private let logger: Logger
  private nonisolated let changes = Bell()

  /// Number of events that are kept in memory.
  static let most = 1000
  /// Time between two looks, so that many small changes are reported together.
  static let pause = Duration.milliseconds(250)
  /// Interval at which a stream without events gets a comment, which keeps its connection open.
  static let heartbeat = Duration.seconds(15)

  init(store: any Store, shell: Shell<Coordinator>, logger: Logger) {
    self.store = store
    self.shell = shell
    self.logger = logger
  }

  /// Notes that something may have changed. A change during a look leads to another look.
  nonisolated func noteChange() { changes.ring() }

  /// Takes a look after each change, until the task is cancelled.
  func run() async throws {
    while true {
      await changes.wait()
      try Task.checkCancellation()
      guard bell.hasListeners else { continue }
      do {
        look = try await read()
        bell.ring()
      } catch {
        logger.warning("event streams wait, because the history cannot be read: \(error)")
        noteChange()
      }
      try await Task.sleep(for: Self.pause)
    }
  }

  /// Rings for quiet streams, so that they send a comment, until the task is cancelled.
  nonisolated func keepAlive() async throws {
    while true {
      try await Task.sleep(for: Self.heartbeat)
      bell.ring()
    }
  }

  private func read() async throws -> Look {
    var look = look
    if look.events.isEmpty {
      look.events = try await store.events(EventFilter(), PageRequest(limit: Self.most)).rows.reversed()
    } else {
      let fresh = try await store.events(EventFilter(), since: look.newest, most: Self.most)
      if fresh.count == Self.most { noteChange() }
      look.events = (look.events + fresh).suffix(Self.most)
    }
    look.states = await shell.read { machine in machine.openTaskIDs.compactMap { machine.roundState($0) } }
    return look
  }
}
