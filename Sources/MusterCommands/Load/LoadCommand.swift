import ArgumentParser
import MusterLoad
import MusterSchema

/// `muster load`
struct LoadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "load", abstract: "Load a broker, central and regions on this machine with thousands of devices.",
    discussion: """
      The servers run as separate processes on free ports of 127.0.0.1. The devices run in this process: each has its own MQTT connection, \
      speaks the whole protocol, fetches the model and uploads an update over HTTP, but does not train. The report shows how much time and \
      memory a round costs the servers. Its numbers mean most with release builds on an idle machine.
      """)

  @Option(help: "The number of devices, 1 to 20000.")
  var devices = 1000

  @Option(help: "The number of regions, 1 to 20.")
  var regions = 1

  @Option(help: "The number of rounds, 1 to 1000.")
  var rounds = 3

  @Option(help: ArgumentHelp("The destination of the uploads: central, or the regions, which then aggregate.", valueName: "central|region"))
  var upload: LoadUpload = .central

  @Option(help: "The number of devices in a cohort (default: all).")
  var cohort: Int?

  @Option(help: "The deadline of a round in seconds, 10 to 86400.")
  var seconds = 600

  @Option(help: "The number of HTTP requests at a time, 1 to 1000.")
  var transfers = 64

  @Flag(help: "Let the devices evaluate each round's model as well.")
  var evaluate = false

  @Flag(
    inversion: .prefixedNo,
    help: """
      Devices wait for their turn, as invitations ask: up to 30 s, longer with more devices. With --no-spread all start at once, and a \
      round takes only as long as its work.
      """)
  var spread = true

  @Option(
    help: ArgumentHelp(
      "Keep configurations, logs and state in this folder, which must be empty or new (default: a temporary folder).", valueName: "dir"))
  var folder: String?

  @OptionGroup var format: OutputOptions

  func validate() throws {
    func require(_ value: Int, _ range: ClosedRange<Int>, _ name: String) throws {
      guard range.contains(value) else {
        throw ValidationError("--\(name) must be between \(range.lowerBound) and \(range.upperBound)")
      }
    }
    try require(devices, 1...20_000, "devices")
    try require(regions, 1...20, "regions")
    try require(rounds, 1...1000, "rounds")
    try require(seconds, 10...86_400, "seconds")
    try require(transfers, 1...1000, "transfers")
    guard regions <= devices else { throw ValidationError("--regions must not exceed the number of devices") }
    if let cohort { try require(cohort, 1...devices, "cohort") }
  }

  func run() async throws {
    do {
      try FileLimit.raise(for: devices, transfers: transfers)
    } catch {
      throw CommandError(.usage, "\(error)")
    }
    let executables = try DemoPlaces.executables(try DemoPlaces.executableFolder(), ["muster-central", "muster-region", "muster-train"])
    let checkout = DemoPlaces.checkout(executables: executables.folder)
    Interruption.catchSignals()
    let home = try WorkFolder(folder, of: "load")
    do {
      var plan = try DemoPlan(executables, checkout: checkout, folder: home.path, devices: 0, regions: regions)
      plan.logLevel = "notice"
      // All devices share one address here.
      plan.requestsPerSecond = 0
      let session = LoadSession(plan: plan, settings: settings)
      let report = try await ProgramFleet.with { fleet in try await session.run(fleet) }
      try show(report)
      if report.outcome != .completed {
        throw CommandError(.taskFailed, "the task \(report.outcome.rawValue)\(report.reason.isEmpty ? "" : ": \(report.reason)")")
      }
    } catch {
      if folder == nil, (error as? CommandError)?.exit == .interrupted {
        home.remove()
        Console.note("all programs are stopped")
      } else {
        Console.note("all programs are stopped; logs: \(home.path)/logs")
      }
      throw error
    }
    if folder == nil { home.remove() } else { Console.note("all programs are stopped; configurations, logs and state: \(home.path)") }
  }

  private var settings: LoadSettings {
    LoadSettings(
      devices: devices, rounds: rounds, upload: upload == .central ? .central : .region, cohort: cohort ?? devices,
      seconds: Double(seconds), transfers: transfers, evaluates: evaluate, spreads: spread)
  }

  @inline(never)
  private func show(_ report: LoadReport) throws {
    switch format.output {
    case .json: try Console.show(json: report)
    case .table: for line in report.lines(ink: Ink(Terminal.output)) { try Console.print(line) }
    }
  }
}

enum LoadUpload: String, ExpressibleByArgument, CaseIterable { case central, region }
