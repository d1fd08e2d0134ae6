import FoundationEssentials
import Glibc
import MusterTransfer
import Synchronization
import TestSupport

/// A complete system of real programs on free ports of the loopback interface: a broker, central, regions and agents.
///
/// Each is a separate process with its own configuration file. All are stopped when ``withFleet(_:_:)`` returns.
final class Fleet: Sendable {
  let plan: FleetPlan
  let places: FleetPlaces
  let folder: TemporaryFolder
  let broker: BrokerProcess
  let gate: Gate
  let http: HTTPClient
  let logsKept = Mutex(false)
  private let programs = Mutex<[String: ChildProcess]>([:])

  /// Writes the configuration, and starts nothing yet.
  init(_ plan: FleetPlan = FleetPlan()) async throws {
    self.plan = plan
    folder = try TemporaryFolder()
    broker = try await BrokerProcess(plan.broker)
    var listeners: [String: FleetPlaces.Listener] = [:]
    for region in plan.regions { listeners[region] = .init(data: try freePort(), ops: try freePort()) }
    places = FleetPlaces(
      folder: folder.path, executables: try Checkout.executables(), digits: try Checkout.file("examples/digits/data"), broker: broker.port,
      central: .init(data: try freePort(), ops: try freePort()), regions: listeners)
    gate = try Gate(folder: places.gate)
    http = try HTTPClient(HTTPConfiguration(connectSeconds: 2))
    try FileManager.default.createDirectory(atPath: folder.file("logs"), withIntermediateDirectories: true)
    for (path, text) in plan.files(places) { try Data(text.utf8).write(to: URL(filePath: path)) }
    FleetRegistry.shared.add(self)
  }

  // MARK: - Programs

  /// The names of all programs except the broker, in the order in which they start.
  var names: [String] { ["central"] + plan.regions + plan.deviceList.map(\.id) }

  func kind(_ program: String) -> String {
    program == "central" ? "muster-central" : plan.regions.contains(program) ? "muster-region" : "muster-agent"
  }

  /// Starts a program (`central`, a region or a device) with its own configuration file or another one.
  ///
  /// - Parameter clock: the calendar time that the program gets.
  func start(
    _ program: String, _ arguments: [String] = [], file: String? = nil, environment: [String: String] = [:], clock: WrongClock? = nil
  ) throws {
    let command =
      (clock?.command ?? []) + [places.executable(kind(program)), "--config", file ?? places.configuration(program)] + arguments
    let child = try ChildProcess(
      command[0], Array(command[1...]), log: places.log(program),
      environment: plan.environment.merging(environment) { $1 })
    programs.withLock { $0[program] = child }
  }

  func process(_ program: String) throws -> ChildProcess {
    guard let child = programs.withLock({ $0[program] }) else { throw TestSupportError("\(program) was not started") }
    return child
  }

  /// Sends SIGKILL and waits for the end.
  func kill(_ program: String) async throws {
    let child = try process(program)
    child.signal(SIGKILL)
    try await child.wait()
  }

  /// Sends SIGTERM and waits for the end.
  ///
  /// - Returns: the exit status.
  @discardableResult
  func stop(_ program: String) async throws -> Int32 {
    let child = try process(program)
    child.signal(SIGTERM)
    return try await child.wait(within: .seconds(15))
  }

  /// Sends SIGSTOP: the program stays alive, but does not answer until `thaw`.
  func freeze(_ program: String) throws { try process(program).signal(SIGSTOP) }
  func thaw(_ program: String) throws { try process(program).signal(SIGCONT) }

  func log(_ program: String) -> String {
    do {
      return try String(contentsOfFile: places.log(program), encoding: .utf8)
    } catch {
      return ""
    }
  }

  /// Starts everything except the plan's late devices, and waits until central sees all of it.
  func startAll() async throws {
    try await broker.start()
    for name in names where !plan.late.contains(name) { try start(name) }
    try await waitForDevices(plan.devices - plan.late.count)
  }

  /// Stops everything at once, including the trainers of killed agents.
  func end() async {
    let running = programs.withLock { Array($0.values) }
    for child in running {
      child.signal(SIGCONT)
      child.signal(SIGKILL)
    }
    do {
      for child in running { try await child.wait() }
      try await broker.kill()
    } catch {
      print("a program did not end: \(error)")
    }
    gate.killLeftovers()
    FleetRegistry.shared.remove(self)
  }
}

/// Runs a fleet while the closure runs.
///
/// - Parameter starting: whether the programs are started first. If false, the closure starts them.
func withFleet(_ plan: FleetPlan = FleetPlan(), starting: Bool = true, _ body: (Fleet) async throws -> Void) async throws {
  let fleet = try await Fleet(plan)
  do {
    if starting { try await fleet.startAll() }
    try await body(fleet)
  } catch {
    fleet.keepLogs(because: "\(error)")
    await fleet.end()
    throw error
  }
  await fleet.end()
}
