import Synchronization
import TestSupport
import Testing

@testable import MusterServer

/// No program publishes anything before every port is bound.
@Suite struct ListenersReadyTests {
  private final class Flag: Sendable {
    private let value = Mutex(false)

    var isSet: Bool { value.withLock { $0 } }
    func set() { value.withLock { $0 = true } }
  }

  @Test("Whoever waits goes on when all listeners accept connections, and not before")
  func all() async throws {
    let ready = ListenersReady(count: 2)
    let flag = Flag()
    let waiter = Task {
      try await ready.wait()
      flag.set()
    }
    ready.running()
    for _ in 0..<100 { await Task.yield() }
    #expect(!flag.isSet)
    ready.running()
    try await waiter.value
    #expect(flag.isSet)
  }

  @Test("When the program ends because one of them cannot listen, whoever waits does not go on", arguments: [0, 1])
  func cancelled(running: Int) async throws {
    let ready = ListenersReady(count: 2)
    for _ in 0..<running { ready.running() }
    let waiter = Task {
      try await ready.wait()
      return "goes on to the broker"
    }
    waiter.cancel()
    await #expect(throws: CancellationError.self) { try await waiter.value }
  }
}
