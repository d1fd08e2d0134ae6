internal import Glibc

/// Why a trainer left no result. `log` holds the last lines that it wrote.
public enum TrainerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The job folder cannot be prepared or read.
  case jobFolder(String)
  /// The program cannot be started: it is missing, or may not be executed.
  case notStarted(String)
  /// It ended with this exit status, or a resident one answered with it.
  case failed(exit: Int32, log: [String])
  /// It was ended by this signal, not by us.
  case signalled(Int32, log: [String])
  /// It said that all is well, but a file of the result is missing.
  case noResult(file: String, log: [String])
  /// A file of the result cannot be understood.
  case malformed(String, log: [String])
  /// The result holds numbers that are not finite, or comes from no samples.
  case nonFinite(String, log: [String])
  case timedOut(seconds: Double, log: [String])
  /// It used more than it may: what, in words that follow "the trainer".
  case overLimit(String, log: [String])
  case cancelled

  public var log: [String] {
    switch self {
    case .failed(_, let log), .signalled(_, let log), .noResult(_, let log), .malformed(_, let log), .nonFinite(_, let log),
      .timedOut(_, let log), .overLimit(_, let log):
      log
    case .jobFolder, .notStarted, .cancelled: []
    }
  }

  /// One line without the log, the same each time for the same cause.
  public var reason: String { "the \(brief)" }

  /// The same without its article: for a list of what went wrong, where each device has a few words.
  private var brief: String {
    switch self {
    case .jobFolder(let why): "job folder cannot be used: \(why)"
    case .notStarted(let why): "trainer cannot be started: \(why)"
    case .failed(let exit, _): "trainer failed with exit status \(exit)"
    case .signalled(let signal, _): "trainer was killed by signal \(Self.describe(signal))"
    case .noResult(let file, _): "trainer ended well but left no \(file)"
    case .malformed(let why, _): "trainer's result is not understood: \(why)"
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
    case SIGKILL: "9 (SIGKILL), perhaps for want of memory"
    case SIGSEGV: "11 (SIGSEGV)"
    case SIGXCPU: "24 (SIGXCPU): its processor time is used up"
    case SIGXFSZ: "25 (SIGXFSZ): a file grew beyond its limit"
    default: "\(signal)"
    }
  }

  /// The same with what the trainer wrote.
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

/// What a trainer left behind.
public struct TrainerOutcome: Hashable, Sendable {
  /// Samples, metrics and initial loss; checked: all finite.
  public var result: TrainerMetrics
  /// The file with the resulting parameters, a checked copy in ``JobFolder/taken``: `update.safetensors`, for initialize
  /// `global.safetensors`, for evaluate nil.
  public var parameters: String?
  /// Wall clock of the job, start of the program included.
  public var duration: Duration
  /// The last lines that were no protocol.
  public var log: [String]

  public init(result: TrainerMetrics, parameters: String?, duration: Duration, log: [String] = []) {
    self.result = result
    self.parameters = parameters
    self.duration = duration
    self.log = log
  }
}
