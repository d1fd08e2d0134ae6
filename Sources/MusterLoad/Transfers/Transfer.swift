import MusterParticipation
import MusterSchema
import MusterTransfer

/// A device's request to a server. A device has one at a time.
struct Transfer: Sendable {
  enum Kind: Hashable, Sendable {
    /// Fetches the base model from the data address.
    case fetch(from: String)
    case upload
  }

  var kind: Kind
  var job: Job
  /// The device's number.
  var device: Int
  var path: NodePath
  /// The number of the attempt, from 1.
  var attempt = 1

  func isSame(as other: Transfer) -> Bool {
    let isSameKind =
      switch (kind, other.kind) {
      case (.fetch, .fetch), (.upload, .upload): true
      default: false
      }
    return isSameKind && job.task == other.job.task && job.isSameWork(as: other.job.key)
  }
}

/// The end of a transfer.
struct TransferEnd: Sendable {
  enum Outcome: Sendable {
    /// The model was fetched. The value describes the contribution that the device will upload.
    case fetched(JobResult)
    /// The ledger accepted the contribution with 200 or 201.
    case delivered
    case failed(TransferError)
  }

  var transfer: Transfer
  var outcome: Outcome
  /// The time at which the answer was complete.
  var at: ContinuousClock.Instant
}

extension TransferError {
  /// The agent's policy: retry without a limit on the attempts.
  private static let policy = RetryPolicy(attempts: .max, base: .milliseconds(100), cap: .seconds(30))

  /// The pause before another attempt; `nil` when another attempt cannot help.
  func pause(_ attempt: Int) -> Duration? {
    var generator = SystemRandomNumberGenerator()
    let isServersTrouble = (500...599).contains(status ?? 0) && !isTransient
    return Self.policy.pause(after: isServersTrouble ? .timedOut(host: "") : self, attempt: attempt, using: &generator)
  }

  /// The category under which the error is counted.
  var refusal: RequestFailure {
    switch self {
    case .problem(let problem, _): RequestFailure(status: problem.status, code: problem.code?.rawValue ?? "without a code")
    case .unreachable: RequestFailure(status: nil, code: "unreachable")
    case .timedOut: RequestFailure(status: nil, code: "timed out")
    case .digestMismatch, .tooLarge, .io: RequestFailure(status: nil, code: "wrong answer")
    case .file: RequestFailure(status: nil, code: "local file")
    case .cancelled: RequestFailure(status: nil, code: "cancelled")
    }
  }
}
