import Dispatch
import Glibc
import MusterGround
import Testing

@Suite struct OffloadTests {
  @Test("work that blocks does not hold up the tasks of the process")
  func cooperativeThreadsStayFree() async {
    // The test runs in a process of its own, because other tests occupy threads too.
    await #expect(processExitsWith: .success) {
      let gate = DispatchSemaphore(value: 0)
      await withTaskGroup(of: Void.self) { group in
        // This is more than the number of cooperative threads on most machines.
        for _ in 0..<12 { group.addTask { await offload { gate.wait() } } }
        let clock = ContinuousClock()
        let start = clock.now
        for _ in 0..<100 { await Task.yield() }
        for _ in 0..<4 { await offload {} }
        // Dispatch itself adds threads only after a second.
        #expect(clock.now - start < .milliseconds(900))
        for _ in 0..<12 { gate.signal() }
      }
    }
  }

  @Test("what blocking work throws comes back")
  func errors() async {
    struct Failure: Error {}
    await #expect(throws: Failure.self) { try await offload { () throws(Failure) in throw Failure() } }
  }
}
