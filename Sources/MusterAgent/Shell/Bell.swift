import Synchronization

/// Rung by anyone, waited for by one. A ring while nobody waits is kept, once.
final class Bell: Sendable {
  private struct State {
    var isRung = false
    var waiter: CheckedContinuation<Void, Never>?

    mutating func takeWaiter() -> CheckedContinuation<Void, Never>? {
      defer { waiter = nil }
      return waiter
    }
  }

  private let state = Mutex(State())

  func ring() {
    let waiter = state.withLock { state in
      state.isRung = true
      return state.takeWaiter()
    }
    waiter?.resume()
  }

  /// Returns at a ring, or when the task is cancelled.
  func wait() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isDue = state.withLock { state in
          if state.isRung || Task.isCancelled { return true }
          state.waiter = continuation
          return false
        }
        if isDue { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.takeWaiter() }?.resume()
    }
    state.withLock { $0.isRung = false }
  }

  /// The same, but at that time at the latest.
  func wait(until time: ContinuousClock.Instant?) async {
    guard let time else { return await wait() }
    guard time > .now else { return }
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.wait() }
      group.addTask {
        // Cancellation ends the sleep early, which is what it is for.
        try? await Task.sleep(until: time, tolerance: .milliseconds(1), clock: .continuous)
      }
      await group.next()
      group.cancelAll()
    }
  }
}

/// Wakes one waiter at a time that can be made earlier while it waits.
final class Alarm: Sendable {
  private let time = Mutex<ContinuousClock.Instant?>(nil)
  private let bell = Bell()

  /// The waiter is only disturbed when the time has become earlier.
  func set(_ next: ContinuousClock.Instant) {
    let isEarlier = time.withLock { time in
      defer { time = next }
      return time.map { next < $0 } ?? true
    }
    if isEarlier { bell.ring() }
  }

  /// Returns when the time has come, or the task is cancelled.
  func wait() async {
    while !Task.isCancelled {
      let next = time.withLock(\.self)
      if let next, next <= .now { return time.withLock { $0 = nil } }
      await bell.wait(until: next)
    }
  }
}
