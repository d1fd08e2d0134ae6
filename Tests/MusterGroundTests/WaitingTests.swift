import Glibc
import Synchronization
import TestSupport
import Testing

@testable import MusterGround

@Suite("Bells, alarms, wakers, and what is worth a log line")
struct WaitingTests {
  @Test("a ring while nobody waits is kept, once")
  func bell() async {
    let bell = Bell()
    for _ in 0..<3 { bell.ring() }
    await bell.wait()
    let start = ContinuousClock.now
    await bell.wait(until: start + .milliseconds(30))
    #expect(.now - start >= .milliseconds(30))
  }

  @Test("no ring is lost between two waits, and a cancelled wait returns")
  func rings() async {
    let bell = Bell()
    final class Counter: Sendable { let count = Mutex(0) }
    let counter = Counter()
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        for _ in 0..<1000 {
          counter.count.withLock { $0 += 1 }
          bell.ring()
          await Task.yield()
        }
      }
      group.addTask {
        while counter.count.withLock(\.self) < 1000 { await bell.wait() }
      }
    }
    let waiting = Task { await bell.wait() }
    await bell.wait(until: .now)
    waiting.cancel()
    await waiting.value
  }

  @Test("an alarm that becomes earlier wakes its waiter then")
  func alarm() async {
    let (alarm, start) = (Alarm(), ContinuousClock.now)
    alarm.set(start + .seconds(60))
    async let waited: Void = alarm.wait()
    alarm.set(start + .milliseconds(20))
    await waited
    #expect(.now - start < .seconds(30) && .now - start >= .milliseconds(20))
  }

  @Test("a waker makes its descriptor readable until it is cleared")
  func waker() throws {
    let waker = try Waker()
    func isReadable() -> Bool {
      var entry = pollfd(fd: waker.descriptor, events: Int16(POLLIN), revents: 0)
      return poll(&entry, 1, 0) == 1
    }
    #expect(!isReadable())
    waker.wake()
    waker.wake()
    #expect(isReadable())
    waker.clear()
    #expect(!isReadable())
  }

  @Test("the first of each kind is said, then one in an interval with how many were left out")
  func throttle() {
    var throttle = LogThrottle(first: 2, interval: .seconds(10))
    let start = ContinuousClock.now
    #expect((0..<5).map { throttle.admit("a", at: start + .seconds($0)) } == [0, 0, nil, nil, nil])
    #expect(throttle.admit("b", at: start + .seconds(5)) == 0)
    #expect(throttle.admit("a", at: start + .seconds(12)) == 3)
    #expect(throttle.admit("a", at: start + .seconds(13)) == nil)
    #expect(throttle.admit("a", at: start + .seconds(30)) == 1)
  }
}
