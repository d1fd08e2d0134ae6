/// Why a trainer's program cannot do, or go on with, its job.
public enum TrainerJobError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Asked to stop (SIGTERM): exit status 3.
  case cancelled
  /// `task.json` speaks a contract that this program does not know yet.
  case newerContract(Int)
  /// A file of the job cannot be read or understood.
  case unreadable(String)
  /// A result that must not be written, for example one that is not finite.
  case badResult(String)
  /// The result cannot be written.
  case notWritten(String)

  public var description: String {
    switch self {
    case .cancelled: "cancelled"
    case .newerContract(let version):
      "task.json has contract \(version), this trainer knows \(TrainerJobDescription.contract): update the trainer"
    case .unreadable(let why): why
    case .badResult(let why): "the result is refused: \(why)"
    case .notWritten(let why): "the result cannot be written: \(why)"
    }
  }
}
