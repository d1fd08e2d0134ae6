import FoundationEssentials
import Glibc
import Logging
import MusterAgent
import TestSupport

/// Many agents in this process, each with its own state folder, connection and log, to test a fleet of hundreds.
final class AgentHost: Sendable {
  let names: [String]
  fileprivate let agents: [Agent]
  private let logs: [String: LogRecorder]

  /// - Parameter region: a region of the fleet.
  init(_ count: Int, of fleet: Fleet, in region: String) throws {
    try Self.allowManyFiles()
    let names = (1...count).map { "device-\($0)" }
    let logs = Dictionary(uniqueKeysWithValues: names.map { ($0, LogRecorder(label: $0)) })
    let configuration = try fleet.folder.write(#"{"log": {"level": "debug"}}"#, to: "hosted.json")
    agents = try names.map { name in
      let flags: AgentFlags = [
        "id": ("--id", name), "region": ("--region", region), "broker": ("--broker", "127.0.0.1:\(fleet.broker.port)"),
        "state": ("--state", fleet.places.state(name)),
      ]
      let (configuration, _) = try AgentConfiguration.load(file: configuration, flags: flags, environment: [:])
      var logger = logs[name, default: LogRecorder()].logger
      logger.logLevel = .debug
      return Agent(configuration, logger: logger)
    }
    (self.names, self.logs) = (names, logs)
  }

  static let connected = "connected to the broker"

  /// For each device, the log records of its attempts to reach the broker since `start`.
  func attempts(since start: ContinuousClock.Instant) -> [String: [LogRecorder.Record]] {
    let tries: Set = [Self.connected, "not connected to the broker, retrying", "still not connected to the broker"]
    return logs.mapValues { log in log.records.filter { $0.time >= start && tries.contains($0.message) } }
  }

  /// Raises the limit of open files. A connection needs three, and a device some more.
  private static func allowManyFiles() throws {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    getrlimit(resource, &limit)
    guard limit.rlim_cur < 8192 else { return }
    limit.rlim_cur = min(8192, limit.rlim_max)
    guard setrlimit(resource, &limit) == 0 else { throw TestSupportError("no more than \(limit.rlim_cur) files can be open here") }
  }
}

/// Runs `count` agents while the closure runs.
func withAgents(_ count: Int, of fleet: Fleet, in region: String, _ body: (AgentHost) async throws -> Void) async throws {
  let host = try AgentHost(count, of: fleet, in: region)
  try await withThrowingTaskGroup(of: Void.self) { group in
    for agent in host.agents { group.addTask { try await agent.run() } }
    try await body(host)
    group.cancelAll()
    try await group.waitForAll()
  }
}
