import MusterParticipation
import MusterSchema
import MusterTransfer

/// What a device wants from a server. It has one at a time.
struct Transfer: Sendable {
  enum Kind: Hashable, Sendable {
    /// The base model, from the data address.
    case fetch(from: String)
    case upload
  }

  var kind: Kind
  var job: Job
  /// The device's number.
  var device: Int
  var path: NodePath
  /// From 1.
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

/// How a transfer ended.
struct TransferEnd: Sendable {
  enum Outcome: Sendable {
    /// The model is here, and this is what the device will upload.
    case fetched(JobResult)
    /// The ledger has it: 200 or 201.
    case delivered
    case failed(TransferError)
  }

  var transfer: Transfer
  var outcome: Outcome
  /// When the answer was here.
  var at: ContinuousClock.Instant
}

extension TransferError {
  /// As the agent: for as long as it takes.
  private static let policy = RetryPolicy(attempts: .max, base: .milliseconds(100), cap: .seconds(30))

  /// The pause before another attempt; nil when another attempt is of no use.
  func pause(_ attempt: Int) -> Duration? {
    var generator = SystemRandomNumberGenerator()
    let isServersTrouble = (500...599).contains(status ?? 0) && !isTransient
    return Self.policy.pause(after: isServersTrouble ? .timedOut(host: "") : self, attempt: attempt, using: &generator)
  }

  /// What it counts as.
  var refusal: Refusal {
    switch self {
    case .problem(let problem, _): Refusal(status: problem.status, code: problem.code?.rawValue ?? "without a code")
    case .unreachable: Refusal(status: nil, code: "unreachable")
    case .timedOut: Refusal(status: nil, code: "timed out")
    case .digestMismatch, .tooLarge, .io: Refusal(status: nil, code: "wrong answer")
    case .cancelled: Refusal(status: nil, code: "cancelled")
    }
  }
}
