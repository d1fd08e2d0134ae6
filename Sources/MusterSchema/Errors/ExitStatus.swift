/// The exit statuses of all programs of Muster.
package enum ExitStatus: Int32, CaseIterable, Sendable {
  case success = 0
  /// A fault of the program or of the machine, or an answer that cannot be interpreted.
  case unexpected = 1
  /// The command line or the task file is wrong.
  case usage = 2
  /// Central refuses the request, or does not have what was asked for.
  case refused = 3
  /// Central or the broker does not answer.
  case unreachable = 4
  /// The task failed or was cancelled.
  case taskFailed = 5
  /// The agent's command line is wrong (`EX_USAGE` of sysexits.h).
  case agentUsage = 64
  /// The configuration of a server or an agent is wrong, so that starting it again does not help (`EX_CONFIG`).
  case configuration = 78
  /// Stopped by Ctrl-C or SIGTERM; the status that a shell reports for Ctrl-C.
  case interrupted = 130

  /// One line for the table in a help text.
  package var meaning: String {
    switch self {
    case .success: "success"
    case .unexpected: "unexpected error"
    case .usage: "the command line or the task file is wrong"
    case .refused: "refused by central"
    case .unreachable: "central or the broker does not answer"
    case .taskFailed: "the task failed or was cancelled"
    case .agentUsage: "wrong command line (agent)"
    case .configuration: "wrong configuration"
    case .interrupted: "interrupted"
    }
  }
}
