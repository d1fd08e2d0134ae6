import MusterSchema

/// The steps of the demo: start the programs, push the task, watch it, and download the model.
struct DemoSession: Sendable {
  var plan: DemoPlan
  var task: TaskFile
  var format: OutputFormat
  /// The path for the downloaded model.
  var model: String
  /// Whether the fleet is kept after the task until Ctrl-C.
  var stays = false

  func run(_ fleet: ProgramFleet) async throws {
    let client = try OpsClient(central: plan.central)
    try await start(fleet, client)
    var generator = SystemRandomNumberGenerator()
    let id = Slug.taskID(task.specification.name, using: &generator)
    _ = try await client.push(id, task.specification)
    let detail = try await TaskWatcher(client: client, task: id, format: format, patience: .seconds(30)).run().detail
    let checkpoint = try ModelChoice.last.pick(from: detail.models, stop: nil, task: id)
    try await client.download(checkpoint, to: model)
    try report(id, checkpoint)
    guard stays else { return Console.note("with --stay, the fleet keeps running until Ctrl-C, so that you can inspect it") }
    Console.note("\nThe fleet keeps running until Ctrl-C. Try in another terminal:")
    for hint in plan.hints(id) { Console.note("  \(hint)") }
    try await fleet.stay()
  }

  private func start(_ fleet: ProgramFleet, _ client: OpsClient) async throws {
    let progress = ProgressLine()
    progress.show("starting a broker, central, \(Words.count(plan.regions.count, "region")) and \(Words.count(plan.devices, "agent"))")
    let servers = ServerStart(plan: plan)
    try await servers.run(fleet, progress)
    for program in plan.programs where program.stage == .agents { try fleet.launch(program) }
    try await servers.wait("the agents") {
      let online = await online(client)
      progress.show("devices online: \(online) of \(plan.devices)")
      return online >= plan.devices
    }
    fleet.isUp()
    progress.end("\(Words.count(plan.devices, "device")) in \(plan.regions.map(\.id.rawValue).joined(separator: " and ")) online")
  }

  private func online(_ client: OpsClient) async -> Int {
    do {
      return try await client.nodes().count { $0.state.online }
    } catch {
      return 0
    }
  }

  private func report(_ id: TaskID, _ checkpoint: ModelCheckpoint) throws {
    switch format {
    case .json: try Console.show(jsonLine: Report(task: id, model: model, checkpoint: checkpoint))
    case .table:
      let metrics = Words.metrics(checkpoint.evaluation ?? [:]).map { ", \($0)" }.joined()
      try Console.print("model: \(model)\(metrics)")
    }
  }

  private struct Report: Encodable {
    var task: TaskID
    var model: String
    var checkpoint: ModelCheckpoint
  }
}
