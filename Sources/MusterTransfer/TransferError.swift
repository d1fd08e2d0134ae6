package import MusterGround
package import MusterSchema

/// The reason why a transfer failed.
package enum TransferError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The connection could not be made, or it broke.
  case unreachable(host: String, why: String)
  /// The connection was made, but no bytes moved for too long.
  case timedOut(host: String)
  /// The server answered with 300 or above. `retryAfter` is in seconds, if the server gave it.
  case problem(Problem, retryAfter: Double?)
  case digestMismatch(expected: Digest, got: Digest)
  case tooLarge(maximumBytes: Int)
  case cancelled
  /// A local file cannot be used.
  case file(FileError)
  /// The request or the answer is at fault. The text says which.
  case io(String)

  /// The server's problem, if the server answered.
  package var problem: Problem? {
    guard case .problem(let problem, _) = self else { return nil }
    return problem
  }

  /// The status of the answer, if the server answered.
  package var status: Int? { problem?.status }

  /// Whether the same request may succeed later, because the server is busy, full or unreachable.
  package var isTransient: Bool {
    switch self {
    case .unreachable, .timedOut: true
    case .problem(let problem, _): [408, 429, 502, 503, 504, 507].contains(problem.status)
    case .digestMismatch, .tooLarge, .cancelled, .file, .io: false
    }
  }

  package var description: String {
    switch self {
    case .unreachable(let host, let why): "\(host) is unreachable: \(why)"
    case .timedOut(let host): "\(host) stopped answering"
    case .problem(let problem, _): "\(problem.status) \(problem)"
    case .digestMismatch(let expected, let got): "the bytes are not the requested ones: their digest is \(got) instead of \(expected)"
    case .tooLarge(let bytes): "the answer is larger than the \(bytes) bytes allowed"
    case .cancelled: "cancelled"
    case .file(let error): "\(error)"
    case .io(let why): why
    }
  }
}
