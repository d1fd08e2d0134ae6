import Synchronization

/// A time that one waiter waits for. The time can be set again, also to an earlier one, during the wait.
package final class Alarm: Sendable {
  private let time = Mutex<ContinuousClock.Instant?>(nil)
  private let bell = Bell()

  package init() {}

  /// Sets the time, replacing an earlier setting. The waiter is disturbed only when the new time is earlier.
  package func set(_ next: ContinuousClock.Instant) {
    let isEarlier = time.withLock { time in
      defer { time = next }
      return time.map { next < $0 } ?? true
    }
    if isEarlier { bell.ring() }
  }

  /// Returns when the time has come, or when the task is cancelled.
  package func wait() async {
    while !Task.isCancelled {
      let next = time.withLock(\.self)
      if let next, next <= .now { return time.withLock { $0 = nil } }
      await bell.wait(until: next)
    }
  }
}
