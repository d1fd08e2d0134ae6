import ArgumentParser
import MusterSchema
import MusterTransfer

/// Why a command did not succeed: the sentence for people and the exit code for scripts.
package struct CommandError: Error, Hashable, CustomStringConvertible {
  /// What the program ends with. The table stands in `docs/cli.md` and in `muster --help`.
  package enum Exit: Int32, CaseIterable, Sendable {
    /// A fault of this program, of the machine, or an answer that makes no sense.
    case unexpected = 1
    /// The command line or the task file is wrong.
    case usage = 2
    /// Central, or what it keeps, says no.
    case refused = 3
    /// Central or the broker does not answer.
    case unreachable = 4
    /// The task that was watched failed or was cancelled.
    case taskFailed = 5
    /// Ctrl-C or SIGTERM, as a shell reports it.
    case interrupted = 130
  }

  package let exit: Exit
  package let description: String

  init(_ exit: Exit, _ message: String) {
    self.exit = exit
    description = message
  }
}

extension CommandError {
  /// What a failed exchange with central means for the person at the terminal.
  init(_ error: TransferError, central: String) {
    switch error {
    case .unreachable(_, let why):
      self.init(.unreachable, "central at \(central) does not answer: \(why). Is it running? Set --central or MUSTER_CENTRAL")
    case .timedOut: self.init(.unreachable, "central at \(central) stopped answering. Look at its log, or at the network in between")
    case .problem(let problem, _):
      let fields = (problem.problems ?? []).map { "\n  \($0)".withoutEscapes }.joined()
      let text = fields.isEmpty ? problem.description.withoutEscapes : problem.title.withoutEscapes + fields
      switch problem.status {
      case 502, 503, 504: self.init(.unreachable, "central at \(central) cannot answer now: \(text)")
      case 400..<500, 507: self.init(.refused, text)
      default: self.init(.unexpected, "central at \(central) answered with \(problem.status): \(text)")
      }
    case .cancelled: self.init(.interrupted, "interrupted")
    case .digestMismatch, .tooLarge, .io: self.init(.unexpected, "\(error)")
    }
  }
}

/// The program's last word: what goes where, and the exit code. Pure, so that tests can see it.
struct LastWord: Hashable {
  var code: Int32
  var output = ""
  var complaint = ""

  /// - Parameters:
  ///   - isParsing: the error comes from reading the command line, not from running the command.
  init(_ error: any Error, isParsing: Bool) {
    switch error {
    case let error as CommandError:
      code = error.exit.rawValue
      complaint = error.description.isEmpty ? "" : "muster: \(error)"
    case is CancellationError:
      code = CommandError.Exit.interrupted.rawValue
    default:
      let parser = MusterCommand.exitCode(for: error)
      let message = MusterCommand.fullMessage(for: error)
      if parser.isSuccess {
        // --help, --version and completion scripts travel as errors, too.
        code = 0
        output = message
      } else if isParsing || parser == .validationFailure {
        code = CommandError.Exit.usage.rawValue
        complaint = message
      } else {
        code = CommandError.Exit.unexpected.rawValue
        complaint = "muster: \(error)"
      }
    }
  }
}
