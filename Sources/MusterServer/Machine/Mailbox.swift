import MusterGround
import MusterShell
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
/// A full mailbox refuses what is offered (an HTTP route then answers 503), and makes whoever `post`s wait: a reader of topics that waits
/// makes the connection stop reading, down to the broker.
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

  /// False when the mailbox is full: the event was not taken.
  @discardableResult
  package func offer(_ event: Event) -> Bool { post(Letter(event)) }

  /// Waits for room and puts the event in. When nobody reads any more it is forgotten.
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

  /// Waits until the machine has taken the event and its records are durable.
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

  /// Letters that nobody has read yet.
  var count: Int { state.withLock(\.inbox.count) }

  /// Up to so many, in order.
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

  /// Nobody reads any more: senders are told so, now and later.
  func close() {
    state.withLock { $0.isClosed = true }
    for letter in drain(.max) { letter.sender?.resume(returning: .busy) }
  }

  /// Returns when there is something to read, when the instant has come, or when the task is cancelled. It may return early.
  func wait(until instant: ContinuousClock.Instant?) async { await bell.wait(until: instant) }
}
