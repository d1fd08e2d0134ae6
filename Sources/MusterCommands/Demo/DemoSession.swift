import MusterSchema

/// What the demo does once it can start programs: up, push, watch, fetch the model.
struct DemoSession: Sendable {
  var plan: DemoPlan
  var task: TaskFile
  var format: OutputFormat
  /// Where the model goes.
  var model: String
  /// Keeps the fleet after the task until Ctrl-C.
  var stays = false

  func run(_ fleet: ProgramFleet) async throws {
    let client = try OpsClient(central: plan.central)
    try await start(fleet, client)
    var generator = SystemRandomNumberGenerator()
    let id = Slug.taskID(task.specification.name, using: &generator)
    _ = try await client.push(id, task.specification)
    let detail = try await TaskWatcher(client: client, task: id, format: format, patience: .seconds(30)).run()
    let checkpoint = try ModelChoice.last.pick(from: detail.models, stop: nil, task: id)
    try await client.download(checkpoint, to: model)
    try report(id, checkpoint)
    guard stays else { return Console.note("to look around in a running fleet: --stay keeps it until Ctrl-C") }
    Console.note("\nThe fleet stays until Ctrl-C. In another terminal:")
    for hint in plan.hints(id) { Console.note("  \(hint)") }
    try await fleet.stay()
  }

  private func start(_ fleet: ProgramFleet, _ client: OpsClient) async throws {
    let progress = ProgressLine()
    progress.show("starting a broker, central, \(Words.count(plan.regions.count, "region")) and \(Words.count(plan.devices, "agent"))")
    let programs = plan.programs
    for program in programs where program.stage == .broker { try fleet.launch(program) }
    try await wait("the broker") { Loopback.accepts(plan.broker) }
    for program in programs where program.stage == .servers { try fleet.launch(program) }
    for program in programs {
      guard let port = program.health else { continue }
      progress.show("waiting for \(program.name)")
      let server = try OpsClient(central: "http://127.0.0.1:\(port)")
      try await wait(program.name) { await server.isHealthy() }
    }
    for program in programs where program.stage == .agents { try fleet.launch(program) }
    try await wait("the agents") {
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

  private func wait(_ what: String, within timeout: Duration = .seconds(60), _ isTrue: () async -> Bool) async throws {
    let deadline = ContinuousClock.now + timeout
    while await !isTrue() {
      guard ContinuousClock.now < deadline else {
        throw CommandError(.unexpected, "\(what) did not come up within \(timeout.components.seconds) s. \(complaints())")
      }
      try await Task.sleep(for: .milliseconds(50))
    }
  }

  /// The ends of the servers' logs.
  private func complaints() -> String {
    plan.programs.filter { $0.stage != .agents }.map { "\($0.name) said:\n\(DemoPlaces.tail($0.log, lines: 8))" }.joined(separator: "\n")
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

/// One line on standard error that replaces itself on a terminal; elsewhere only what is final.
struct ProgressLine: Sendable {
  private let terminal = Terminal.error

  func show(_ text: String) {
    if terminal.isTerminal { Console.progress("\r\(text.cut(to: terminal.width))\u{1B}[K") }
  }

  func end(_ text: String) {
    if terminal.isTerminal { Console.progress("\r\u{1B}[K") }
    Console.note(text)
  }
}
