import ArgumentParser
package import MusterSchema
import MusterTransfer

/// The reason why a command failed: a message for people and an exit code for scripts.
package struct CommandError: Error, Hashable, CustomStringConvertible {
  package let exit: ExitStatus
  package let description: String

  init(_ exit: ExitStatus, _ message: String) {
    self.exit = exit
    description = message
  }
}

extension CommandError {
  /// Converts an error of a request to central into a message for the person at the terminal.
  init(_ error: TransferError, central: String) {
    switch error {
    case .unreachable(_, let why):
      self.init(
        .unreachable,
        "central at \(central) does not answer: \(why). Check that it is running, or set another address with --central or MUSTER_CENTRAL")
    case .timedOut: self.init(.unreachable, "central at \(central) stopped answering. Check its log and the network")
    case .problem(let problem, _):
      let fields = (problem.problems ?? []).map { "\n  \($0)".withoutEscapes }.joined()
      let text = fields.isEmpty ? problem.description.withoutEscapes : problem.title.withoutEscapes + fields
      switch problem.code?.exit ?? Self.exit(for: problem.status) {
      case .unreachable: self.init(.unreachable, "central at \(central) cannot answer now: \(text)")
      case .unexpected: self.init(.unexpected, "central at \(central) answered with \(problem.status): \(text)")
      case let exit: self.init(exit, text)
      }
    case .cancelled: self.init(.interrupted, "interrupted")
    case .digestMismatch, .tooLarge, .file, .io: self.init(.unexpected, "\(error)")
    }
  }

  /// The exit code for an answer without a Muster error code, which comes from a proxy on the way or from version 0.1.0.
  private static func exit(for status: Int) -> ExitStatus {
    switch status {
    case 502, 503, 504: .unreachable
    case 400..<500, 507: .refused
    default: .unexpected
    }
  }
}

/// The last output of the program on each stream, and its exit code. It is a pure value, so that tests can check it.
struct LastWord: Hashable {
  var code: Int32
  var output = ""
  var complaint = ""

  /// - Parameters:
  ///   - isParsing: whether the error comes from parsing the command line and not from running the command.
  init(_ error: any Error, isParsing: Bool) {
    switch error {
    case let error as CommandError:
      code = error.exit.rawValue
      complaint = error.description.isEmpty ? "" : "muster: \(error)"
    case is CancellationError:
      code = ExitStatus.interrupted.rawValue
    default:
      let parser = MusterCommand.exitCode(for: error)
      let message = MusterCommand.fullMessage(for: error)
      if parser.isSuccess {
        // The argument parser also reports --help, --version and completion scripts as errors.
        code = 0
        output = message
      } else if isParsing || parser == .validationFailure {
        code = ExitStatus.usage.rawValue
        complaint = message
      } else {
        code = ExitStatus.unexpected.rawValue
        complaint = "muster: \(error)"
      }
    }
  }
}
