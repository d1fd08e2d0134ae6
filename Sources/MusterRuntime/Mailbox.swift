package import MusterStorage
import Synchronization

/// What became of an event that somebody waits for.
package enum Submission: Sendable {
  /// Its records are durable and its effects under way.
  case committed
  case failed(StorageError)
  /// The mailbox was full: the event was not taken.
  case busy
}

/// Events on their way into a machine: bounded, many writers, one reader.
///
/// A full mailbox refuses: whoever offers decides what that means (an HTTP route answers 503; what comes from a topic is said again by its
/// sender, since topics are level and not edge, so the connection is renewed instead).
package final class Mailbox<Event: Sendable>: Sendable {
  struct Letter: Sendable {
    var event: Event
    var sender: CheckedContinuation<Submission, Never>?
  }

  private struct State {
    var letters: [Letter] = []
    var isRung = false
    var reader: CheckedContinuation<Void, Never>?

    mutating func takeReader() -> CheckedContinuation<Void, Never>? {
      defer { reader = nil }
      return reader
    }
  }

  private let state = Mutex(State())
  private let capacity: Int

  package init(capacity: Int = 16_384) { self.capacity = capacity }

  /// False when the mailbox is full: the event was not taken.
  @discardableResult
  package func offer(_ event: Event) -> Bool { post(Letter(event: event, sender: nil)) }

  /// Waits until the machine has taken the event and its records are durable.
  package func submit(_ event: Event) async -> Submission {
    await withCheckedContinuation { continuation in
      if !post(Letter(event: event, sender: continuation)) { continuation.resume(returning: .busy) }
    }
  }

  private func post(_ letter: Letter) -> Bool {
    let (taken, reader) = state.withLock { state -> (Bool, CheckedContinuation<Void, Never>?) in
      guard state.letters.count < capacity else { return (false, nil) }
      state.letters.append(letter)
      state.isRung = true
      return (true, state.takeReader())
    }
    reader?.resume()
    return taken
  }

  /// Up to so many, in order.
  func drain(_ most: Int) -> [Letter] {
    state.withLock { state in
      let batch = Array(state.letters.prefix(most))
      state.letters.removeFirst(batch.count)
      state.isRung = !state.letters.isEmpty
      return batch
    }
  }

  /// Returns when there is something to read, when the instant has come, or when the task is cancelled.
  func wait(until instant: ContinuousClock.Instant?) async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.waitForRing() }
      if let instant {
        group.addTask {
          // Cancellation ends the sleep early, which is what it is for.
          try? await Task.sleep(until: instant, tolerance: .milliseconds(1), clock: .continuous)
        }
      }
      await group.next()
      group.cancelAll()
    }
  }

  private func waitForRing() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isDue = state.withLock { state in
          if state.isRung || Task.isCancelled { return true }
          state.reader = continuation
          return false
        }
        if isDue { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.takeReader() }?.resume()
    }
  }
}
