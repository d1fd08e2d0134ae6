import MusterSchema
import Synchronization

/// Tells streams that something may have changed. A stream that is busy gets several rings as one.
final class EventBell: Sendable {
  private struct State {
    var next = 0
    var streams: [Int: AsyncStream<Void>.Continuation] = [:]
  }

  /// Maximum number of streams, because each holds a connection and costs work with every change.
  static let most = 100

  private let state = Mutex(State())

  var hasListeners: Bool { state.withLock { !$0.streams.isEmpty } }

  func ring() { state.withLock { state in for stream in state.streams.values { stream.yield() } } }

  /// - Throws: 429 if there are too many streams.
  func listen() throws(Problem) -> (stream: AsyncStream<Void>, ring: AsyncStream<Void>.Continuation) {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let number = state.withLock { state -> Int? in
      guard state.streams.count < Self.most else { return nil }
      state.next += 1
      state.streams[state.next] = continuation
      return state.next
    }
    guard let number else {
      throw Problem(
        .tooManyRequests, "\(Self.most) event streams are open, the most that are allowed: close one, or request a list instead")
    }
    continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.streams[number] = nil } }
    return (stream, continuation)
  }
}
