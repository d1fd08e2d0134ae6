/// What a program of Muster ends with: one table for all of them.
package enum ExitStatus: Int32, CaseIterable, Sendable {
  case success = 0
  /// A fault of the program or of the machine, or an answer that makes no sense.
  case unexpected = 1
  /// The command line or the task file is wrong.
  case usage = 2
  /// Central, or what it keeps, refuses.
  case refused = 3
  /// Central or the broker does not answer.
  case unreachable = 4
  /// The task failed or was cancelled.
  case taskFailed = 5
  /// The agent's command line is wrong (`EX_USAGE` of sysexits.h).
  case agentUsage = 64
  /// The configuration of a server or an agent is wrong: starting again does not help (`EX_CONFIG`).
  case configuration = 78
  /// Ctrl-C or SIGTERM, as a shell reports it.
  case interrupted = 130

  /// One line for the table in a help text.
  package var meaning: String {
    switch self {
    case .success: "done"
    case .unexpected: "unexpected"
    case .usage: "the command line or the task file is wrong"
    case .refused: "refused by central"
    case .unreachable: "central or the broker does not answer"
    case .taskFailed: "the task failed or was cancelled"
    case .agentUsage: "wrong flags (agent)"
    case .configuration: "wrong configuration"
    case .interrupted: "interrupted"
    }
  }
}
