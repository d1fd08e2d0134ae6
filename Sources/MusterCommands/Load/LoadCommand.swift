import ArgumentParser
import MusterLoad
import MusterSchema

/// `muster load`
struct LoadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "load", abstract: "Put a broker, central and regions of this machine under the load of thousands of devices.",
    discussion: """
      The servers are processes of their own on free ports of 127.0.0.1, in a temporary folder. The devices live in this one: each has its \
      MQTT connection and speaks the whole protocol, fetches the model and uploads an update over HTTP, but does not train. What is measured \
      is what a round costs the servers. The figures mean most with release builds and an idle machine.
      """)

  @Option(help: "How many devices, 1 to 20000.")
  var devices = 1000

  @Option(help: "How many regions they belong to, 1 to 20.")
  var regions = 1

  @Option(help: "How many rounds, 1 to 1000.")
  var rounds = 3

  @Option(help: ArgumentHelp("Where devices upload: central, or region, which aggregates.", valueName: "central|region"))
  var upload: LoadUpload = .central

  @Option(help: "How many devices a round asks for (default: all).")
  var cohort: Int?

  @Option(help: "The deadline of a round in seconds, 10 to 86400.")
  var seconds = 600

  @Option(help: "HTTP requests under way at a time, 1 to 1000.")
  var transfers = 64

  @Flag(help: "Devices evaluate each round's model, too.")
  var evaluate = false

  @Flag(
    inversion: .prefixedNo,
    help: """
      Devices wait for their turn, up to 30 s the more there are, as invitations ask. Without, all start at once, and a round is as \
      long as its work.
      """)
  var spread = true

  @Option(help: ArgumentHelp("Where to put configurations, logs and state (default: a temporary folder). It is kept.", valueName: "dir"))
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
    guard regions <= devices else { throw ValidationError("--regions must not be more than the devices") }
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
        Console.note("everything is stopped")
      } else {
        Console.note("everything is stopped; logs: \(home.path)/logs")
      }
      throw error
    }
    if folder == nil { home.remove() } else { Console.note("everything is stopped; configurations, logs and state: \(home.path)") }
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
