import MusterSchema
import MusterServer
import Synchronization

/// Lets so many uploads in at a time. Nobody waits here: who finds it full is told to come back.
final class UploadGate: Sendable {
  private struct State {
    var count = 0
    var bytes = 0
    /// Refused since somebody last left.
    var refused = 0
  }

  private let count: Int
  private let bytes: Int
  private let state = Mutex(State())

  init(_ limits: UploadLimits) {
    count = limits.count
    bytes = limits.bytes
  }

  /// - Parameter announced: bytes of the body.
  /// - Throws: 429 with a `Retry-After` that grows with those who were refused as well.
  func enter(_ announced: Int) throws(ProblemWithRetry) {
    let (refused, why) = state.withLock { state -> (Int, String) in
      let why =
        if state.count >= count {
          "\(count) uploads are in progress, the most that this server accepts"
        } else if state.count > 0,
          announced > bytes - state.bytes
        { "the uploads in progress have announced as many bytes as this server accepts" } else { "" }
      if why.isEmpty {
        state.count += 1
        state.bytes += announced
        return (0, "")
      }
      state.refused += 1
      return (state.refused, why)
    }
    guard refused > 0 else { return }
    throw ProblemWithRetry(
      problem: Problem(.tooManyUploads, "\(why): try again later"),
      retryAfter: min(30, Double(1 + refused / max(count, 1))))
  }

  func leave(_ announced: Int) {
    state.withLock { state in
      state.count -= 1
      state.bytes -= announced
      state.refused = max(0, state.refused - 1)
    }
  }

  var open: Int { state.withLock(\.count) }
}
