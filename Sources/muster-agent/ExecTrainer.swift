import ArgumentParser
import MusterAgent
import MusterTrainers

/// `muster-agent exec-trainer [LIMITS] -- PROGRAM [ARGUMENT …]`: the command with which the agent starts a trainer.
struct ExecTrainer: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "exec-trainer",
    abstract: "Apply limits and become a trainer, as the agent does to start one. Useful for trying out limits.",
    usage: "muster-agent exec-trainer [LIMIT …] -- PROGRAM [ARGUMENT …]",
    discussion: """
      The trainer makes no core dumps and cannot gain privileges, and the kernel ends it first when memory runs out.

      --memory-mib N     private memory of one process
      --file-mib N       size of one file
      --processes N      processes and threads of the user; does not apply to root
      --open-files N     open files of one process
      --cpu-seconds N    processor time of one process
      --nice N           0 to 19 (default: \(TrainerLimits.defaultNice))
      --user USER        user name or uid; needs root
      --parent PID       end when this process ends; it must be the process that starts the trainer
      """)

  @Argument(parsing: .captureForPassthrough, help: .hidden)
  var arguments: [String] = []

  func run() throws {
    guard arguments.first != "--help", arguments.first != "-h" else { throw CleanExit.helpRequest(self) }
    guard let launch = TrainerLaunch(arguments: arguments) else {
      throw ValidationError(
        "Limits must be 0 to \(1 << 30) (--nice: at most 19), and a program must follow after --; --help lists the limits.")
    }
    StandardError.write(launch.perform())
    throw ExitCode(TrainerLaunch.failed)
  }
}
