/// Why a trainer's program cannot do or finish its job.
public enum TrainerJobError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The trainer was asked to stop, by SIGTERM or SIGINT. The exit status is 3.
  case cancelled
  /// `task.json` has a newer contract version than this program knows.
  case newerContract(Int)
  /// A file of the job cannot be read or parsed.
  case unreadable(String)
  /// The result must not be written, for example because a number is not finite.
  case badResult(String)
  /// A file of the result cannot be written.
  case notWritten(String)

  public var description: String {
    switch self {
    case .cancelled: "cancelled"
    case .newerContract(let version):
      "task.json has contract version \(version), but this trainer knows versions up to \(TrainerJobDescription.contract): update the trainer"
    case .unreadable(let why): why
    case .badResult(let why): "the result is refused: \(why)"
    case .notWritten(let why): "the result cannot be written: \(why)"
    }
  }
}
