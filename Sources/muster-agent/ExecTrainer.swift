import ArgumentParser
import MusterAgent
import MusterTrainers

/// `muster-agent exec-trainer [LIMITS] -- PROGRAM [ARGUMENT …]`: how the agent starts a trainer.
struct ExecTrainer: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "exec-trainer",
    abstract: "Becomes a trainer under limits: what the agent does to start one. Of use by hand to try limits out.",
    discussion: "Without core dumps, without new rights, and the kernel's first choice when memory runs out.")

  @Option(name: .customLong("memory-mib"), help: "Private memory of one process.")
  var memoryMiB: Int?
  @Option(name: .customLong("file-mib"), help: "Size of one file.")
  var fileMiB: Int?
  @Option(help: "Processes and threads of the user; does not bind root.")
  var processes: Int?
  @Option(help: "Open files of one process.")
  var openFiles: Int?
  @Option(help: "Processor time of one process.")
  var cpuSeconds: Int?
  @Option(help: "0 to 19.")
  var nice = TrainerLimits.defaultNice
  @Option(help: "A name or a number; needs root.")
  var user: String?
  @Option(help: ArgumentHelp("The process that it ends with, which must be the one that starts it.", valueName: "pid"))
  var parent: Int32 = 0
  @Argument(parsing: .postTerminator, help: "The program and its arguments.")
  var command: [String]

  func validate() throws {
    guard !command.isEmpty else { throw ValidationError("Give a program after --.") }
    for value in [memoryMiB, fileMiB, processes, openFiles, cpuSeconds, nice] {
      guard (value ?? 0) >= 0, (value ?? 0) <= 1 << 30 else { throw ValidationError("Limits are 0 to \(1 << 30).") }
    }
    guard nice <= 19 else { throw ValidationError("--nice is at most 19.") }
  }

  func run() throws {
    let limits = TrainerLimits(
      memoryMiB: memoryMiB, fileMiB: fileMiB, processes: processes, openFiles: openFiles, cpuSeconds: cpuSeconds, nice: nice)
    let launch = TrainerLaunch(limits: limits, user: user, parent: parent, resident: false, command: command)
    StandardError.write(launch.perform())
    throw ExitCode(TrainerLaunch.failed)
  }
}
