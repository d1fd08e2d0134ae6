internal import ArgumentParser
internal import MusterTrainers

@main
struct MusterTrain: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "muster-train",
    abstract: "Trains and evaluates the built-in models (softmax, mlp, lenet5) under the trainer contract.",
    discussion:
      "A job folder holds task.json, and global.safetensors but for the job initialize. Exit status: 0 done, 1 error, 3 cancelled.")

  @Argument(help: "The job folder. (\"resident\" stands for --resident.)")
  var folder: String?

  @Flag(help: "Read {\"job\":\"FOLDER\"} lines from standard input and answer each with {\"done\":\"FOLDER\",\"exit\":0}.")
  var resident = false

  func validate() throws {
    guard resident != (folder != nil) || folder == "resident" else { throw ValidationError("Give either a job folder or --resident.") }
  }

  func run() throws {
    let trainer = BuiltInTrainer()
    let mode: TrainerMain.Mode = if let folder, folder != "resident" { .once(folder: folder) } else { .resident }
    let status = TrainerMain.run(mode) { job in try trainer.perform(job) }
    if status != 0 { throw ExitCode(status) }
  }
}
