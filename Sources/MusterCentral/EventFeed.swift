import MusterCoordination
import MusterRuntime
import MusterSchema
import MusterStorage

/// What streams of events tell, read once for all of them and at most four times a second.
actor EventFeed {
  /// How things stand.
  struct Look: Sendable {
    /// The newest events, in their order.
    var events: [TaskEvent] = []
    /// The number of the newest.
    var newest = 0
    /// What happens now in the tasks that go on.
    var states: [RoundState] = []
  }

  private let store: any Store
  private let shell: Shell<Coordinator>
  private var look = Look()
  private var begun: ContinuousClock.Instant?
  private var reading: Task<Look, any Error>?

  /// Events that are remembered.
  static let most = 1000
  /// Between two looks, so that many small changes are told of together.
  static let pause = Duration.milliseconds(250)

  init(store: any Store, shell: Shell<Coordinator>) {
    self.store = store
    self.shell = shell
  }

  /// How things stand, as of a quarter of a second ago at most.
  func latest() async throws -> Look {
    if let reading { return try await reading.value }
    if let begun, .now - begun < Self.pause { return look }
    begun = .now
    let reading = Task { try await self.read() }
    self.reading = reading
    defer { self.reading = nil }
    look = try await reading.value
    return look
  }

  private func read() async throws -> Look {
    var look = look
    if look.newest == 0 {
      look.events = try await store.events(EventFilter(), PageRequest(limit: Self.most)).rows.reversed()
    } else {
      look.events += try await store.events(EventFilter(), since: look.newest, most: Self.most)
      look.events = look.events.suffix(Self.most)
    }
    look.newest = look.events.last?.number ?? 0
    look.states = await shell.read { machine in machine.openTaskIDs.compactMap { machine.roundState($0) } }
    return look
  }
}
