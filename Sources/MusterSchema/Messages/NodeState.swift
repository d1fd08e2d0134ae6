/// `muster/v1/{c}/nodes/{node}/state`: a node's birth (online) and Will (offline), and what it can do.
public struct NodeState: Message {
  public static var kind: String { "node-state" }

  public enum Kind: String, Codable, Sendable { case device, region }

  public var node: NodeID
  public var online: Bool
  /// Drawn anew for each connection. An offline counts only if its session equals the last birth's.
  public var session: String
  /// `device` or `region`. (The member is called `node-kind` on the wire, since `kind` names the message.)
  public var nodeKind: Kind?
  public var labels: [String: String]?
  public var capabilities: Capabilities?
  public var resources: Resources?
  /// A region's data plane, where central asks for its devices.
  public var data: String?
  /// A device's policy as far as it concerns others. Absent when there is nothing to say.
  public var policy: DevicePolicy?
  /// Why the state is offline: a constant of ``Farewell``. Version 0.1.0 does not send it.
  public var reason: String?

  public init(
    node: NodeID, online: Bool, session: String, nodeKind: Kind? = nil, labels: [String: String]? = nil,
    capabilities: Capabilities? = nil, resources: Resources? = nil, data: String? = nil, policy: DevicePolicy? = nil,
    reason: String? = nil
  ) {
    self.node = node
    self.online = online
    self.session = session
    self.nodeKind = nodeKind
    self.labels = labels
    self.capabilities = capabilities
    self.resources = resources
    self.data = data
    self.policy = policy
    self.reason = reason
  }
}

/// Reasons of offline messages. For people: programs act on `online` alone.
public enum Farewell {
  /// The program stopped in an orderly way and published this itself.
  public static let stopped = "stopped"
  /// Published by the broker as the Will: the connection broke, or the program or its machine died.
  public static let lost = "connection lost"
}

/// The part of a device owner's policy that is published, for `muster task push --dry-run`. The device itself decides.
public struct DevicePolicy: Codable, Hashable, Sendable {
  /// Why the device takes part in no task now.
  public var declines: String?
  /// The only hosts that the device uploads to, as `host` or `host:port`. Absent: any host.
  public var uploadHosts: [String]?

  public init(declines: String? = nil, uploadHosts: [String]? = nil) {
    self.declines = declines
    self.uploadHosts = uploadHosts
  }

  /// Why a device that allows only these hosts does not upload to that address; nil when it does.
  package static func refusal(of address: String, allowing hosts: [String]) -> String? {
    guard !hosts.isEmpty else { return nil }
    guard let server = ServerAddress(address) else { return "the upload address is not understood" }
    return hosts.contains { allows($0, server) } ? nil : "the device's owner does not allow uploads to \(server.host)"
  }

  /// Whether the entry names this server's host, in any spelling of IPv6, and its port, if the entry has one.
  private static func allows(_ entry: String, _ server: ServerAddress) -> Bool {
    do {
      // An entry without a port allows every port.
      return try HostAndPort(validating: entry, defaultPort: server.port) == server.server
    } catch {
      return false
    }
  }
}

/// What a node has to train with.
public struct Capabilities: Codable, Hashable, Sendable {
  /// Names of the trainers in the agent's own configuration.
  public var trainers: [String]
  /// Of the agent.
  public var version: String?
  /// The model types of each trainer that says which it knows; `step:onnx` stands for every model that comes with an exported training step of
  /// that format.
  public var models: [String: [String]]?
  /// The versions of trainers that say it.
  public var versions: [String: String]?

  public init(
    trainers: [String], version: String? = nil, models: [String: [String]]? = nil, versions: [String: String]? = nil
  ) {
    self.trainers = trainers
    self.version = version
    self.models = models
    self.versions = versions
  }
}

/// What a device has left, as Linux shows it. Absent where Linux does not.
public struct Resources: Codable, Hashable, Sendable {
  /// Processors that the agent may use.
  public var cores: Int?
  /// The one-minute load average.
  public var load: Double?
  /// Memory available, MiB.
  public var memoryMiB: Int?
  /// Free space where the agent keeps its state, MiB.
  public var diskMiB: Int?
  /// Battery charge, 0–100; absent without a battery.
  public var battery: Int?
  /// True on mains power; absent where unknown.
  public var mains: Bool?
  /// The hottest thermal zone, °C.
  public var celsius: Double?

  public init(
    cores: Int? = nil, load: Double? = nil, memoryMiB: Int? = nil, diskMiB: Int? = nil, battery: Int? = nil, mains: Bool? = nil,
    celsius: Double? = nil
  ) {
    self.cores = cores
    self.load = load
    self.memoryMiB = memoryMiB
    self.diskMiB = diskMiB
    self.battery = battery
    self.mains = mains
    self.celsius = celsius
  }
}
