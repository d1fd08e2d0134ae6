import FoundationEssentials
import Glibc
import Logging
import MusterAgent
import Synchronization
import TestSupport

/// Many agents in this process, each with a state folder, a connection and a log of its own: what a fleet of hundreds does together.
final class AgentHost: Sendable {
  /// What a device's log said of one attempt to reach the broker.
  struct Attempt: Sendable {
    var at: ContinuousClock.Instant
    var succeeded: Bool
  }

  let names: [String]
  fileprivate let agents: [Agent]
  private let attempts: Attempts

  /// - Parameter region: a region of the fleet.
  init(_ count: Int, of fleet: Fleet, in region: String) throws {
    try Self.allowManyFiles()
    let names = (1...count).map { "device-\($0)" }
    let attempts = Attempts()
    let configuration = try fleet.folder.write(#"{"log": {"level": "debug"}}"#, to: "hosted.json")
    agents = try names.map { name in
      let flags: AgentFlags = [
        "id": ("--id", name), "region": ("--region", region), "broker": ("--broker", "127.0.0.1:\(fleet.broker.port)"),
        "state": ("--state", fleet.places.state(name)),
      ]
      let (configuration, _) = try AgentConfiguration.load(file: configuration, flags: flags, environment: [:])
      var logger = Logger(label: name) { _ in AttemptLog(device: name, attempts: attempts) }
      logger.logLevel = .debug
      return Agent(configuration, logger: logger)
    }
    (self.names, self.attempts) = (names, attempts)
  }

  /// What each device tried from then on, by its name.
  func attempts(since start: ContinuousClock.Instant) -> [String: [Attempt]] {
    attempts.all.withLock { $0.mapValues { $0.filter { $0.at >= start } } }
  }

  /// A connection takes three descriptors, a device some more.
  private static func allowManyFiles() throws {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    getrlimit(resource, &limit)
    guard limit.rlim_cur < 8192 else { return }
    limit.rlim_cur = min(8192, limit.rlim_max)
    guard setrlimit(resource, &limit) == 0 else { throw TestSupportError("no more than \(limit.rlim_cur) files can be open here") }
  }
}

/// Runs so many agents for as long as the closure runs.
func withAgents(_ count: Int, of fleet: Fleet, in region: String, _ body: (AgentHost) async throws -> Void) async throws {
  let host = try AgentHost(count, of: fleet, in: region)
  try await withThrowingTaskGroup(of: Void.self) { group in
    for agent in host.agents { group.addTask { try await agent.run() } }
    try await body(host)
    group.cancelAll()
    try await group.waitForAll()
  }
}

private final class Attempts: Sendable {
  let all = Mutex<[String: [AgentHost.Attempt]]>([:])
}

/// Keeps what an agent says of its connection, and nothing else.
private struct AttemptLog: LogHandler {
  let device: String
  let attempts: Attempts
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.debug

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let succeeded: Bool
    switch "\(event.message)" {
    case "connected to the broker": succeeded = true
    case "no MQTT connection", "still no MQTT connection": succeeded = false
    default: return
    }
    let attempt = AgentHost.Attempt(at: .now, succeeded: succeeded)
    attempts.all.withLock { $0[device, default: []].append(attempt) }
  }
}
