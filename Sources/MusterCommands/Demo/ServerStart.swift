import MusterSchema

/// Starts a plan's broker, central and regions, and waits until they answer.
struct ServerStart: Sendable {
  var plan: DemoPlan

  func run(_ fleet: ProgramFleet, _ progress: ProgressLine) async throws {
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
  }

  /// Checks a condition repeatedly until it is true.
  ///
  /// - Throws: ``CommandError`` with the last lines of the servers' logs when it is not true in time.
  func wait(
    _ what: String, within timeout: Duration = .seconds(60), every pause: Duration = .milliseconds(50), _ isTrue: () async -> Bool
  ) async throws {
    let deadline = ContinuousClock.now + timeout
    while await !isTrue() {
      guard ContinuousClock.now < deadline else {
        throw CommandError(.unexpected, "\(what) did not become ready within \(timeout.components.seconds) s. \(complaints())")
      }
      try await Task.sleep(for: pause)
    }
  }

  /// The last lines of the servers' logs.
  private func complaints() -> String {
    plan.programs.filter { $0.stage != .agents }.map { "\($0.name) logged:\n\(DemoPlaces.tail($0.log, lines: 8))" }.joined(separator: "\n")
  }
}
