internal import ArgumentParser
internal import MusterTrainers

@main
struct MusterTrain: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "muster-train",
    abstract: "Run training and evaluation jobs of the trainer contract.",
    discussion: """
      A job folder holds task.json and, except for the job initialize, global.safetensors. Exit status: 0 done, 1 error, 3 cancelled. \
      The default subcommand is built-in.
      """,
    subcommands: [BuiltIn.self, Onnx.self], defaultSubcommand: BuiltIn.self)
}

/// Arguments that all trainers have.
struct JobOptions: ParsableArguments {
  @Argument(help: "The job folder. The word \"resident\" means --resident.")
  var folder: String?

  @Flag(help: "Read {\"job\":\"FOLDER\"} lines from standard input and answer each with {\"done\":\"FOLDER\",\"exit\":0}.")
  var resident = false

  func validate() throws {
    guard resident != (folder != nil) || folder == "resident" else { throw ValidationError("Give either a job folder or --resident.") }
  }

  func run(_ perform: (TrainerJob) throws -> Void) throws {
    let mode: TrainerMain.Mode = if let folder, folder != "resident" { .once(folder: folder) } else { .resident }
    let status = TrainerMain.run(mode, perform: perform)
    if status != 0 { throw ExitCode(status) }
  }
}

/// `muster-train [built-in] …`
struct BuiltIn: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "built-in", abstract: "The built-in models: softmax, mlp, lenet5.")

  @OptionGroup var job: JobOptions

  func run() throws {
    let trainer = BuiltInTrainer()
    try job.run { job in try trainer.perform(job) }
  }
}
