import ArgumentParser
import FoundationEssentials
import Glibc
import MusterSchema

/// `muster demo`
struct DemoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo", abstract: "Run the whole system on this machine: a broker, central, regions, agents, and one task.",
    discussion: """
      Every program is a separate process, on free ports of 127.0.0.1. The demo ends when the task has ended, or with --stay at Ctrl-C. It \
      writes the model to global.safetensors in --folder, otherwise in the current folder. An existing file is replaced.
      """)

  @Flag(help: "Keep the folder with configurations, logs and state.")
  var keep = false

  @Flag(help: "Keep the fleet running after the task until Ctrl-C, so that you can inspect it.")
  var stay = false

  @Option(
    help: ArgumentHelp(
      "Keep configurations, logs and state in this folder, which must be empty or new (default: a temporary folder).", valueName: "dir"))
  var folder: String?

  @Option(help: ArgumentHelp("The task to push (default: examples/digits/task.yaml).", valueName: "file"), completion: .file())
  var task: String?

  @Option(help: "The number of agents, 1 to 200.")
  var devices = 8

  @Option(help: "The number of regions, 1 to 20.")
  var regions = 2

  @Option(help: "The number of rounds, instead of the task file's.")
  var rounds: Int?

  @OptionGroup var format: OutputOptions

  func validate() throws {
    guard (1...200).contains(devices) else { throw ValidationError("--devices must be between 1 and 200") }
    guard (1...20).contains(regions), regions <= devices else {
      throw ValidationError("--regions must be between 1 and 20, and not more than the number of devices")
    }
  }

  func run() async throws {
    let executables = try DemoPlaces.executables(try DemoPlaces.executableFolder())
    guard let checkout = DemoPlaces.checkout(executables: executables.folder) else {
      throw CommandError(
        .usage,
        "neither the current folder nor the muster executable is inside a checkout with examples/digits; run the demo inside the checkout")
    }
    let task = try readTask(checkout)
    Interruption.catchSignals()
    let home = try WorkFolder(folder, of: "demo")
    let plan = try plan(executables, checkout: checkout, folder: home.path)
    do {
      let session = DemoSession(plan: plan, task: task, format: format.output, model: model(home.path), stays: stay)
      try await ProgramFleet.with { fleet in try await session.run(fleet) }
    } catch {
      if (error as? CommandError)?.exit == .interrupted, !keep, folder == nil {
        home.remove()
        Console.note("all programs are stopped")
      } else {
        Console.note("all programs are stopped; logs: \(home.path)/logs")
      }
      throw error
    }
    if keep || folder != nil {
      Console.note("all programs are stopped; configurations, logs and state: \(home.path)")
    } else {
      home.remove()
    }
  }

  private func readTask(_ checkout: String) throws -> TaskFile {
    var task = try TaskFile(path: task ?? "\(checkout)/examples/digits/task.yaml")
    task.specification.regions = DemoPlan.regionNames(regions)
    if let rounds { task.specification.rounds = rounds }
    let cohort = task.specification.cohort
    if cohort.size > devices {
      task.specification.cohort.size = devices
      task.specification.cohort.minimum = min(cohort.minimum, max(1, devices * 3 / 4))
    }
    try task.check()
    guard task.blobs.isEmpty else {
      throw CommandError(.usage, "the demo cannot upload files; use initial: {seed: 1}, and no model.step")
    }
    return task
  }

  private func plan(_ executables: DemoPlan.Executables, checkout: String, folder: String) throws -> DemoPlan {
    var plan = try DemoPlan(executables, checkout: checkout, folder: folder, devices: devices, regions: regions)
    plan.data = "\(checkout)/examples/digits/data"
    return plan
  }

  private func model(_ home: String) -> String {
    "\(folder == nil ? FileManager.default.currentDirectoryPath : home)/global.safetensors"
  }
}
