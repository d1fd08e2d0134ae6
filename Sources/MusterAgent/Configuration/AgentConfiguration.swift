package import Logging
import MusterGround
import MusterIdentity
package import MusterSchema
package import MusterTrainers

/// The configuration of an agent. Each property names its key. The first source wins: flags, `MUSTER_*` variables, `agent.json`, defaults.
///
/// `docs/agent-configuration.md` shows the file.
package struct AgentConfiguration: Sendable {
  /// `id` (`--id`): the device's name in its region. Required.
  package var id: NodeID
  /// `region` (`--region`): the region that the device belongs to. Required.
  package var region: NodeID
  /// `state` (`--state`): the folder for the journal, models and jobs. The default is `/var/lib/muster/agent/REGION/ID` for root, and
  /// `$XDG_STATE_HOME/muster/agent/REGION/ID` for other users.
  package var state: String
  package var broker: Broker
  /// `identity`: the folder that `muster-agent enroll` made. The default is `identity` in the state folder that was set, otherwise
  /// `/var/lib/muster/agent/identity` for root and the like for other users. With an identity, `id`, `region` and `broker` come from it,
  /// and every connection uses TLS. `nil` in a plain fleet.
  package var identity: AgentIdentity?
  /// `labels`: for example `{"site": "lab"}`. The labels `arch` and `os` are added.
  package var labels: [String: String]
  /// `trainers`: the programs that may train on this device, by the name that tasks use. `threads`: how many threads each may use for
  /// numeric libraries.
  package var trainers: [String: TrainerProgram]
  /// `keepFailed`: how many folders of failed jobs are kept for inspection. Default 3.
  package var keepFailed: Int
  /// `data`: passed to the trainer unchanged.
  package var data: JSONValue
  /// `stallSeconds`: a transfer that makes no progress for this many seconds is aborted and tried again. Default 30.
  package var stallSeconds: Int
  package var policy: Policy
  package var probe: Probe
  /// `log.level` (`--log-level`): trace, debug, info, notice, warning, error or critical.
  package var logLevel: Logger.Level

  /// The address of the region's broker, and the credentials for it.
  package struct Broker: Hashable, Sendable {
    /// `broker.host` (`--broker HOST:PORT`).
    package var host: String
    /// `broker.port`.
    package var port: Int
    /// `broker.username`.
    package var username: String?
    /// `broker.password`, or the first line of the file `broker.passwordFile`. Never printed.
    package var password: String?
    /// `broker.authorityFile`: a PEM file. With it, the connection uses TLS.
    package var authorityFile: String?
    /// `broker.keepAlive`: the agent pings after this many seconds without traffic, and gives the connection up if the same time passes
    /// without an answer. The broker publishes that the device is offline after one and a half times this. Default 30.
    package var keepAlive: Int
  }

  /// The sources of resource readings, and how often they are read.
  package struct Probe: Hashable, Sendable {
    /// `probe.seconds`: the interval between readings in seconds. Default 10.
    package var seconds: Double
    /// `probe.proc` and `probe.sys`: other folders to use as `/proc` and `/sys`.
    package var proc: String
    package var sys: String
  }
}

/// Command line flags, by configuration key.
package typealias AgentFlags = [String: (flag: String, value: String)]

extension AgentConfiguration {
  package static let defaultFile = "/etc/muster/agent.json"

  /// Reads and checks the configuration.
  ///
  /// - Parameters:
  ///   - file: the configuration file. `nil` uses `MUSTER_CONFIG` or else the default path, at which the file may be missing.
  package static func load(
    file: String?, flags: AgentFlags, environment: [String: String]
  ) throws(AgentConfigurationError) -> (configuration: AgentConfiguration, report: String) {
    let explicit = file ?? environment["MUSTER_CONFIG"]
    let path = explicit ?? defaultFile
    var settings = AgentSettings(
      flags: flags, environment: environment, file: path, content: try read(path, mayBeMissing: explicit == nil))
    let configuration = try AgentConfiguration(&settings, environment)
    try settings.checkUnknown()
    return (configuration, report(settings))
  }

  private static func read(_ path: String, mayBeMissing: Bool) throws(AgentConfigurationError) -> [String: JSONValue] {
    let bytes: [UInt8]
    do {
      bytes = try Files.read(path, atMost: 1 << 20)
    } catch {
      if mayBeMissing, error.isMissing { return [:] }
      throw AgentConfigurationError("", in: path, "the file cannot be read: \(error.reason)")
    }
    do {
      try JSON.requireDistinctNames(bytes)
      return try JSON.decode([String: JSONValue].self, from: bytes)
    } catch {
      throw AgentConfigurationError("", in: path, "the file is not a valid JSON object: \(JSON.explain(error, in: bytes))")
    }
  }

  private init(_ settings: inout AgentSettings, _ environment: [String: String]) throws(AgentConfigurationError) {
    let (base, given) = (Self.defaultState(environment), try settings.path("state"))
    identity = try AgentIdentity(try settings.path("identity", else: (given ?? base).map { "\($0)/identity" }))
    let member = identity?.identity.member
    id = try settings.identifier("id", flag: "--id", enrolled: member?.node)
    guard id != .central else {
      throw AgentConfigurationError("id", in: settings.lastOrigin, "must not be \"central\", which is the root coordinator's id")
    }
    region = try settings.identifier("region", flag: "--region", enrolled: member?.region)
    guard let folder = given ?? base.map({ [region, id] in "\($0)/\(region)/\(id)" }) else {
      throw AgentConfigurationError("state", HomeFolder.missing)
    }
    state = folder
    if given == nil { settings.useDefault("state", .string(folder)) }
    broker = try Broker(&settings, enrolled: member?.broker)
    labels = try Self.labels(&settings)
    trainers = try Self.trainers(&settings)
    keepFailed = try settings.integer("keepFailed", in: 0...1000, else: 3)
    data = try settings.object("data").map { .object($0) } ?? .object([:])
    stallSeconds = try settings.integer("stallSeconds", in: 5...3600, else: 30)
    policy = try Policy(&settings, trainers: Set(trainers.keys))
    probe = Probe(
      seconds: try settings.number("probe.seconds", in: 0.1...3600) ?? 10, proc: try settings.text("probe.proc", else: "/proc"),
      sys: try settings.text("probe.sys", else: "/sys"))
    let level = try settings.text("log.level", else: "info")
    guard let known = Logger.Level(rawValue: level) else {
      throw AgentConfigurationError(
        "log.level", in: settings.lastOrigin, "must be one of \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    logLevel = known
  }

  /// The folder in which the agents of this user keep their state; `nil` when there is no home folder.
  static func defaultState(_ environment: [String: String]) -> String? {
    if HostFacts.isRoot { return "/var/lib/muster/agent" }
    return HomeFolder.state(environment: environment).map { "\($0)/muster/agent" }
  }

  private static func labels(_ settings: inout AgentSettings) throws(AgentConfigurationError) -> [String: String] {
    var labels = ["arch": HostFacts.name.architecture, "os": HostFacts.name.system]
    guard let object = try settings.object("labels") else { return labels }
    for (name, value) in object.sorted(by: { $0.key < $1.key }) {
      guard let text = value.scalar, (1...63).contains(name.utf8.count), text.utf8.count <= 255, !text.utf8.contains(where: { $0 < 0x20 })
      else {
        throw AgentConfigurationError(
          "labels.\(name.prefix(63))", in: settings.lastOrigin,
          "a label needs a name of 1 to 63 bytes and a plain value of at most 255 bytes without control characters")
      }
      labels[name] = text
    }
    guard labels.reduce(0, { $0 + $1.key.utf8.count + $1.value.utf8.count + 6 }) <= 2048 else {
      throw AgentConfigurationError("labels", in: settings.lastOrigin, "all labels together must not exceed 2048 bytes")
    }
    return labels
  }

  private static func report(_ settings: AgentSettings) -> String {
    var lines: [String] = []
    for (key, value, origin, isSecret) in settings.used {
      let shown: String
      do {
        shown = isSecret ? "•••" : String(decoding: try JSON.encode(value), as: UTF8.self)
      } catch {
        shown = "(\(error))"
      }
      lines.append("\(key) = \(shown)  # \(origin)")
    }
    return lines.joined(separator: "\n")
  }
}

extension AgentConfiguration.Broker {
  /// - Parameter address: the broker's address from the device's identity, `mqtts://host:port`.
  fileprivate init(_ settings: inout AgentSettings, enrolled address: String?) throws(AgentConfigurationError) {
    if let address {
      guard let broker = HostAndPort(broker: address) else {
        throw AgentConfigurationError("identity", "the broker's address \(address.shown(200)) is not mqtts://host:port")
      }
      for key in [
        "broker", "broker.host", "broker.port", "broker.username", "broker.password", "broker.passwordFile", "broker.authorityFile",
      ]
      where settings.value(key) != nil {
        throw AgentConfigurationError(
          key, in: settings.lastOrigin, "must be absent, because this device is enrolled: its identity names the broker")
      }
      (host, port) = (broker.host.name, broker.port)
      keepAlive = try settings.integer("broker.keepAlive", in: 5...3600, else: 30)
      return
    }
    // `--broker HOST:PORT` and MUSTER_BROKER set both keys at once, and win over them.
    let both = try settings.text("broker")
    if let both {
      do {
        let server = try HostAndPort(validating: both)
        (host, port) = (server.host.name, server.port)
      } catch {
        throw AgentConfigurationError("broker", in: settings.lastOrigin, "must be HOST:PORT with a port from 1 to 65535: \(error)")
      }
      _ = (settings.value("broker.host"), settings.value("broker.port"))
    } else {
      let text = try settings.text("broker.host", else: "127.0.0.1")
      do {
        host = try Host(validating: text).name
      } catch {
        throw AgentConfigurationError("broker.host", in: settings.lastOrigin, "\(error)")
      }
      port = try settings.integer("broker.port", in: 1...65_535, else: 1883)
    }
    username = try settings.text("broker.username")
    password = try settings.text("broker.password", secret: true)
    if let file = try settings.path("broker.passwordFile") {
      guard password == nil else {
        throw AgentConfigurationError(
          "broker.passwordFile", in: settings.lastOrigin, "set broker.password or broker.passwordFile, not both")
      }
      password = try Self.readPassword(file, settings.lastOrigin)
    }
    authorityFile = try settings.path("broker.authorityFile")
    keepAlive = try settings.integer("broker.keepAlive", in: 5...3600, else: 30)
    guard password == nil || username != nil else {
      throw AgentConfigurationError("broker.username", "is missing: a password needs a user name")
    }
  }

  private static func readPassword(_ file: String, _ origin: String?) throws(AgentConfigurationError) -> String {
    do {
      let text = String(decoding: try Files.read(file, atMost: 4096), as: UTF8.self)
      return text.split(separator: "\n", maxSplits: 1).first.map { String($0) } ?? ""
    } catch {
      throw AgentConfigurationError("broker.passwordFile", in: origin, "\(error)")
    }
  }
}
