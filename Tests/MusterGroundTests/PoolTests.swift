import Glibc
import Synchronization
import TestSupport
import Testing

@testable import MusterGround

@Suite("Threads that may block")
struct PoolTests {
  @Test("as many pieces run at once as there may be threads")
  func bounds() async throws {
    final class State: Sendable {
      let count = Mutex<(running: Int, most: Int, done: Int)>((0, 0, 0))
      let isClosed = Mutex(true)
    }
    let (pool, state) = (BlockingPool(width: 3), State())
    for _ in 0..<50 {
      pool.run {
        state.count.withLock { $0 = ($0.running + 1, max($0.most, $0.running + 1), $0.done) }
        while state.isClosed.withLock(\.self) { usleep(1000) }
        state.count.withLock { $0 = ($0.running - 1, $0.most, $0.done + 1) }
      }
    }
    #expect(try await eventually { state.count.withLock(\.running) == 3 })
    #expect(pool.threads == 3)
    state.isClosed.withLock { $0 = false }
    #expect(try await eventually { state.count.withLock(\.done) == 50 })
    #expect(state.count.withLock(\.most) == 3)
  }

  @Test("what waits is taken in the order in which it came")
  func order() async throws {
    final class Done: Sendable { let numbers = Mutex<[Int]>([]) }
    let (pool, done) = (BlockingPool(width: 1), Done())
    for number in 0..<1000 { pool.run { done.numbers.withLock { $0.append(number) } } }
    #expect(try await eventually { done.numbers.withLock(\.count) == 1000 })
    #expect(done.numbers.withLock(\.self) == Array(0..<1000))
  }

  @Test("threads end when they have nothing to do, and come back")
  func idle() async throws {
    let pool = BlockingPool(width: 4, idleSeconds: 0)
    for _ in 0..<200 {
      let count = Mutex(0)
      for _ in 0..<8 { pool.run { count.withLock { $0 += 1 } } }
      #expect(try await eventually { count.withLock(\.self) == 8 })
    }
    #expect(try await eventually { pool.threads == 0 })
  }

  @Test("a thread has its name, and its body is released")
  func thread() async throws {
    final class Witness: Sendable {}
    let name = Mutex("")
    weak var weakly: Witness?
    do {
      let witness = Witness()
      weakly = witness
      try Threads.start(named: "muster-test") {
        let read = try? Files.read("/proc/thread-self/comm", atMost: 100)
        name.withLock { $0 = String(decoding: read ?? [], as: UTF8.self) }
        withExtendedLifetime(witness) {}
      }
    }
    #expect(try await eventually { name.withLock(\.self) == "muster-test\n" })
    #expect(try await eventually { weakly == nil })
  }

  @Test("long work does not wait for short work, nor short work for it")
  func long() async throws {
    final class Gate: Sendable { let isClosed = Mutex(true) }
    let gate = Gate()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<20 { group.addTask { await offloadLong { while gate.isClosed.withLock(\.self) { usleep(1000) } } } }
      // There is more long work than the pool has threads, and short work must still run.
      #expect(await offload { 7 } == 7)
      gate.isClosed.withLock { $0 = false }
    }
  }
}
