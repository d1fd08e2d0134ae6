import Logging
import MusterCoordination
import MusterSchema
import MusterServer
import MusterStorage

/// What streams of events tell: read once for all of them, at most four times a second, and only while there are streams.
actor EventFeed {
  /// How things stand.
  struct Look: Sendable {
    /// The newest events, in their order.
    var events: [TaskEvent] = []
    /// What happens now in the tasks that go on.
    var states: [RoundState] = []
    var newest: Int { events.last?.number ?? 0 }
  }

  private(set) var look = Look()
  /// Rings when there is a new look, and now and then without one.
  nonisolated let bell = EventBell()

  private let store: any Store
  private let shell: Shell<Coordinator>
  private let logger: Logger
  private let (changes, changed) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

  /// Events that are remembered.
  static let most = 1000
  /// Between two looks, so that many small changes are told of together.
  static let pause = Duration.milliseconds(250)
  /// A stream that was quiet for so long sends a comment, which keeps its connection open.
  static let heartbeat = Duration.seconds(15)

  init(store: any Store, shell: Shell<Coordinator>, logger: Logger) {
    self.store = store
    self.shell = shell
    self.logger = logger
  }

  /// Something may have changed. A change during a look leads to another look.
  nonisolated func noteChange() { changed.yield() }

  /// Looks after each change until the task is cancelled.
  func run() async throws {
    for await _ in changes where bell.hasListeners {
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

  /// Lets quiet streams say that they are there, until the task is cancelled.
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
