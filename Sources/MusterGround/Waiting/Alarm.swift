import Synchronization

/// Wakes one waiter at a time that can be made earlier while it waits.
package final class Alarm: Sendable {
  private let time = Mutex<ContinuousClock.Instant?>(nil)
  private let bell = Bell()

  package init() {}

  /// The waiter is only disturbed when the time has become earlier.
  package func set(_ next: ContinuousClock.Instant) {
    let isEarlier = time.withLock { time in
      defer { time = next }
      return time.map { next < $0 } ?? true
    }
    if isEarlier { bell.ring() }
  }

  /// Returns when the time has come, or the task is cancelled.
  package func wait() async {
    while !Task.isCancelled {
      let next = time.withLock(\.self)
      if let next, next <= .now { return time.withLock { $0 = nil } }
      await bell.wait(until: next)
    }
  }
}
