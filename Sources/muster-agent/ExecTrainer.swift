import ArgumentParser
import MusterAgent
import MusterTrainers

/// `muster-agent exec-trainer [LIMITS] -- PROGRAM [ARGUMENT …]`: the command with which the agent starts a trainer.
struct ExecTrainer: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "exec-trainer",
    abstract: "Becomes a trainer under limits: what the agent does to start one. Of use by hand to try limits out.",
    usage: "muster-agent exec-trainer [LIMIT …] -- PROGRAM [ARGUMENT …]",
    discussion: """
      Without core dumps, without new rights, and the kernel's first choice when memory runs out.

      --memory-mib N     private memory of one process
      --file-mib N       size of one file
      --processes N      processes and threads of the user; does not bind root
      --open-files N     open files of one process
      --cpu-seconds N    processor time of one process
      --nice N           0 to 19 (default: \(TrainerLimits.defaultNice))
      --user USER        a name or a number; needs root
      --parent PID       the process that it ends with, which must be the one that starts it
      """)

  @Argument(parsing: .captureForPassthrough, help: .hidden)
  var arguments: [String] = []

  func run() throws {
    guard arguments.first != "--help", arguments.first != "-h" else { throw CleanExit.helpRequest(self) }
    guard let launch = TrainerLaunch(arguments: arguments) else {
      throw ValidationError("Give limits of 0 to \(1 << 30) (--nice: at most 19) and a program after --; --help lists them.")
    }
    StandardError.write(launch.perform())
    throw ExitCode(TrainerLaunch.failed)
  }
}
