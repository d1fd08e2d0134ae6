import MusterSchema
import MusterServer
import Synchronization

/// Limits the uploads in progress. An upload over the limit does not wait here: its client is told to come back later.
final class UploadGate: Sendable {
  private struct State {
    var count = 0
    var bytes = 0
    /// Number of refusals, reduced by one with each upload that leaves.
    var refused = 0
  }

  private let count: Int
  private let bytes: Int
  private let state = Mutex(State())

  init(_ limits: UploadLimits) {
    count = limits.count
    bytes = limits.bytes
  }

  /// - Parameter announced: length of the body in bytes.
  /// - Throws: 429 with a `Retry-After` that grows with the number of other refused uploads.
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
