import MusterGround
import MusterShell
package import MusterStorage
import Synchronization

/// The result of submitting an event.
package enum Submission: Sendable {
  /// Its records are durable, and its effects have been started.
  case committed
  case failed(StorageError)
  /// The mailbox was full or closed, so the event was not accepted.
  case busy
}

/// A bounded queue of events for a machine, with many writers and one reader.
///
/// A full mailbox refuses an offered event, and an HTTP route then answers 503. `post` waits instead: a reader of topics that waits makes
/// the connection stop reading, so that the broker has to wait too.
package final class Mailbox<Event: Sendable>: Sendable {
  typealias Sender = CheckedContinuation<Submission, Never>
  typealias Letter = MusterShell.Letter<Event, Sender>

  private struct State {
    var inbox: Inbox<Event, Sender>
    var isClosed = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let state: Mutex<State>
  private let bell = Bell()

  package init(capacity: Int = 16_384) { state = Mutex(State(inbox: Inbox(capacity: capacity))) }

  /// Returns false if the mailbox is full and the event was not accepted.
  @discardableResult
  package func offer(_ event: Event) -> Bool { post(Letter(event)) }

  /// Waits for room and adds the event. The event is dropped if the mailbox is closed.
  package func post(_ event: Event) async {
    while !offer(event) {
      await withCheckedContinuation { continuation in
        let isDue = state.withLock { state in
          guard state.inbox.isFull, !state.isClosed else { return true }
          state.waiting.append(continuation)
          return false
        }
        if isDue { continuation.resume() }
      }
      if state.withLock(\.isClosed) { return }
    }
  }

  /// Waits until the machine has handled the event and its records are durable.
  package func submit(_ event: Event) async -> Submission {
    await withCheckedContinuation { continuation in
      if !post(Letter(event, continuation)) { continuation.resume(returning: .busy) }
    }
  }

  private func post(_ letter: Letter) -> Bool {
    let isTaken = state.withLock { !$0.isClosed && $0.inbox.offer(letter) }
    if isTaken { bell.ring() }
    return isTaken
  }

  /// Number of unread letters.
  var count: Int { state.withLock(\.inbox.count) }

  /// Removes and returns up to `most` letters, in order.
  func drain(_ most: Int) -> [Letter] {
    let (batch, isLeft, waiting) = state.withLock { state in
      let batch = state.inbox.drain(most)
      defer { state.waiting = [] }
      return (batch, !state.inbox.isEmpty, state.waiting)
    }
    for continuation in waiting { continuation.resume() }
    if isLeft { bell.ring() }
    return batch
  }

  /// Closes the mailbox: waiting and later senders get ``Submission/busy``.
  func close() {
    state.withLock { $0.isClosed = true }
    for letter in drain(.max) { letter.sender?.resume(returning: .busy) }
  }

  /// Returns when there is an event to read, when the instant has come, or when the task is cancelled. It may return early.
  func wait(until instant: ContinuousClock.Instant?) async { await bell.wait(until: instant) }
}
