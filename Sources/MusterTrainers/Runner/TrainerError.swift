internal import Glibc

/// Why a trainer produced no result. `log` holds the last lines of its output.
public enum TrainerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The job folder cannot be prepared or read.
  case jobFolder(String)
  /// The program cannot be started, because it is missing or not executable, for example.
  case notStarted(String)
  /// The program exited with this status, or a resident one answered with it.
  case failed(exit: Int32, log: [String])
  /// The program was ended by this signal, which the runner did not send.
  case signalled(Int32, log: [String])
  /// The program succeeded, but a file of the result is missing.
  case noResult(file: String, log: [String])
  /// A file of the result cannot be parsed or does not fit the model.
  case malformed(String, log: [String])
  /// The result has numbers that are not finite, or comes from no samples.
  case nonFinite(String, log: [String])
  /// The job took longer than the program's `timeoutSeconds`.
  case timedOut(seconds: Double, log: [String])
  /// The trainer exceeded a limit, given as a phrase that follows "the trainer".
  case overLimit(String, log: [String])
  /// The job was cancelled.
  case cancelled

  /// The last lines of the trainer's output.
  public var log: [String] {
    switch self {
    case .failed(_, let log), .signalled(_, let log), .noResult(_, let log), .malformed(_, let log), .nonFinite(_, let log),
      .timedOut(_, let log), .overLimit(_, let log):
      log
    case .jobFolder, .notStarted, .cancelled: []
    }
  }

  /// The reason on one line, without the log; the same text for the same cause.
  public var reason: String { "the \(brief)" }

  /// The reason without its article, for lists with a few words for each device.
  private var brief: String {
    switch self {
    case .jobFolder(let why): "job folder cannot be used: \(why)"
    case .notStarted(let why): "trainer cannot be started: \(why)"
    case .failed(let exit, _): "trainer failed with exit status \(exit)"
    case .signalled(let signal, _): "trainer was killed by signal \(Self.describe(signal))"
    case .noResult(let file, _): "trainer succeeded but wrote no \(file)"
    case .malformed(let why, _): "trainer's result is not valid: \(why)"
    case .nonFinite(let why, _): "trainer's result is refused: \(why)"
    case .timedOut(let seconds, _): "trainer took longer than \(seconds) s"
    case .overLimit(let what, _): "trainer \(what)"
    case .cancelled: "trainer was cancelled"
    }
  }

  private static func describe(_ signal: Int32) -> String {
    switch signal {
    case SIGABRT: "6 (SIGABRT)"
    case SIGBUS: "7 (SIGBUS)"
    case SIGFPE: "8 (SIGFPE)"
    case SIGILL: "4 (SIGILL)"
    case SIGKILL: "9 (SIGKILL), perhaps because memory ran out"
    case SIGSEGV: "11 (SIGSEGV)"
    case SIGXCPU: "24 (SIGXCPU), because its processor time was used up"
    case SIGXFSZ: "25 (SIGXFSZ), because a file grew beyond its limit"
    default: "\(signal)"
    }
  }

  /// The same error with the trainer's output.
  func with(log: [String]) -> TrainerError {
    switch self {
    case .failed(let exit, _): .failed(exit: exit, log: log)
    case .signalled(let signal, _): .signalled(signal, log: log)
    case .noResult(let file, _): .noResult(file: file, log: log)
    case .malformed(let why, _): .malformed(why, log: log)
    case .nonFinite(let why, _): .nonFinite(why, log: log)
    case .timedOut(let seconds, _): .timedOut(seconds: seconds, log: log)
    case .overLimit(let what, _): .overLimit(what, log: log)
    case .jobFolder, .notStarted, .cancelled: self
    }
  }

  public var description: String { withLastLine(reason) }

  /// ``description`` without its article.
  package var briefDescription: String { withLastLine(brief) }

  private func withLastLine(_ text: String) -> String { log.last.map { "\(text): \($0)" } ?? text }
}

/// The result of a job.
public struct TrainerOutcome: Hashable, Sendable {
  /// Samples, metrics and initial loss, all checked to be finite.
  public var result: TrainerMetrics
  /// Path of a checked copy of the resulting parameters in ``JobFolder/taken``: `update.safetensors` for `train`, `global.safetensors` for
  /// `initialize`, `nil` for `evaluate`.
  public var parameters: String?
  /// Wall-clock time of the job, including the start of the program.
  public var duration: Duration
  /// The last lines of output, at most 50, that are not part of the protocol.
  public var log: [String]

  /// A result; the runner makes it.
  public init(result: TrainerMetrics, parameters: String?, duration: Duration, log: [String] = []) {
    self.result = result
    self.parameters = parameters
    self.duration = duration
    self.log = log
  }
}
