import Synchronization

/// A signal that any task or thread can give, and that one task waits for. A ring that finds no waiter is remembered, but only one.
package final class Bell: Sendable {
  private struct State {
    var isRung = false
    var waiter: CheckedContinuation<Void, Never>?

    mutating func takeWaiter() -> CheckedContinuation<Void, Never>? {
      defer { waiter = nil }
      return waiter
    }
  }

  private let state = Mutex(State())

  package init() {}

  package func ring() {
    let waiter = state.withLock { state in
      state.isRung = true
      return state.takeWaiter()
    }
    waiter?.resume()
  }

  /// Returns at the next ring, or when the task is cancelled.
  package func wait() async {
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

  /// Does the same as ``wait()``, but returns at `time` at the latest.
  package func wait(until time: ContinuousClock.Instant?) async {
    guard let time else { return await wait() }
    guard time > .now else { return }
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.wait() }
      group.addTask {
        // Cancellation ends the sleep early, which is the purpose of the cancellation.
        try? await Task.sleep(until: time, tolerance: .milliseconds(1), clock: .continuous)
      }
      await group.next()
      group.cancelAll()
    }
  }
}
