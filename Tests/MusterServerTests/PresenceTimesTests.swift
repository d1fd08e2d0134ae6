import Logging
import MusterSchema
import MusterStorage
import Synchronization
import TestSupport
import Testing

@testable import MusterServer

@Suite("Since when nodes are online or offline")
struct PresenceTimesTests {
  private final class Clock: Sendable {
    private let time = Mutex(WallTime(milliseconds: 1000))
    var now: WallTime { time.withLock(\.self) }
    func set(_ milliseconds: Int64) { time.withLock { $0 = WallTime(milliseconds: milliseconds) } }
  }

  private let folder: TemporaryFolder
  private let log = LogRecorder()
  private let clock = Clock()
  private let pi = NodeID(unchecked: "pi-1")

  init() throws { folder = try TemporaryFolder() }

  private func times(_ store: StateFolder) async throws -> PresenceTimes {
    try await PresenceTimes(store: store.store, clock: { [clock] in clock.now }, logger: log.logger)
  }

  private func state(_ online: Bool, _ session: String, of node: NodeID? = nil) -> NodeState {
    NodeState(node: node ?? pi, online: online, session: session)
  }

  private func pass(_ milliseconds: Int64) { clock.set(milliseconds) }

  @Test("a state that is said again keeps its time, and another session's says nothing")
  func again() async throws {
    let times = try await times(try StateFolder(folder: folder.path))
    times.note(state(true, "a"))
    pass(2000)
    times.note(state(true, "a"))
    #expect(times.since(state(true, "a")) == WallTime(milliseconds: 1000))
    times.note(state(false, "a"))
    // The node came back, and the Will of an earlier connection arrives late.
    times.note(state(true, "b"))
    pass(3000)
    times.note(state(false, "old"))
    #expect(times.since(state(true, "b")) == WallTime(milliseconds: 2000))
    #expect(times.since(state(false, "b")) == nil && times.since(state(true, "a")) == nil)
  }

  @Test("a restart forgets nothing, and what the broker remembers is no news")
  func restart() async throws {
    do {
      let times = try await times(try StateFolder(folder: folder.path))
      times.note(state(true, "a"))
      times.note(state(false, "a"))
      await times.save(keeping: [pi])
    }
    pass(9000)
    let times = try await times(try StateFolder(folder: folder.path))
    times.note(state(false, "a"))
    #expect(times.since(state(false, "a")) == WallTime(milliseconds: 1000))
  }

  @Test("a server that starts while its broker is away forgets nothing")
  func brokerAway() async throws {
    do {
      let times = try await times(try StateFolder(folder: folder.path))
      times.note(state(false, "a"))
      await times.save(keeping: [pi])
    }
    do {
      // The machine of a server that has not connected yet has no nodes.
      let times = try await times(try StateFolder(folder: folder.path))
      await times.save(keeping: [])
      #expect(times.since(state(false, "a")) == WallTime(milliseconds: 1000))
    }
    #expect(try await times(try StateFolder(folder: folder.path)).since(state(false, "a")) == WallTime(milliseconds: 1000))
  }

  @Test("nodes that the machine does not know are forgotten, but for those that were just heard")
  func forgotten() async throws {
    let store = try StateFolder(folder: folder.path)
    let times = try await times(store)
    for index in 0..<100 { times.note(state(true, "a", of: NodeID(unchecked: "node-\(index)"))) }
    await times.save(keeping: [])
    #expect(try await store.store.presence().count == 100)
    await times.save(keeping: [NodeID(unchecked: "node-7")])
    #expect(try await store.store.presence().map(\.node) == [NodeID(unchecked: "node-7")])
    #expect(times.since(state(true, "a", of: NodeID(unchecked: "node-8"))) == nil)
  }
}
