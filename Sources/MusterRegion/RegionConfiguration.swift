package import MusterMQTT
package import MusterSchema
package import MusterServer

/// Everything that a region is told when it starts. Validated once.
package struct RegionConfiguration: Sendable {
  package var id: NodeID
  package var state: String
  /// The devices' broker.
  package var broker: MQTTConfiguration
  /// Central's broker, perhaps the same one: a second connection all the same.
  package var centralBroker: MQTTConfiguration
  package var data: ListenerConfiguration
  package var ops: ListenerConfiguration
  /// Bytes of one contribution, where the region aggregates.
  package var maximumBytes: Int
  /// A transfer to or from central in which nothing moves for so many seconds is given up, and tried again.
  package var stallSeconds: Int
  /// What the data listener takes at most.
  package var limits: DataPlaneLimits

  /// Keys: `id`, `state` (a folder), `broker.*` (the devices'), `centralBroker.*` (default: `broker`), `data.*` (default 0.0.0.0:7410), `ops.*`
  /// (default 127.0.0.1:7411), `maximumMiB` (of one contribution, default 1024), `stallSeconds` (a transfer in which nothing moves for so long
  /// is given up and tried again, default 30), `data.limits.*` (see ``DataPlaneLimits``), `log.level`.
  package init(_ settings: ServerSettings, defaultState: String?) async throws {
    do {
      id = try NodeID(validating: try await settings.required("id", "the region's id, as central's configuration declares it"))
    } catch let error as IdentifierError {
      throw ConfigurationError("id", error.description)
    }
    guard id != .central else { throw ConfigurationError("id", "\"central\" is reserved") }
    state = try await settings.state(default: defaultState)
    broker = try await MQTTConfiguration(settings, "broker", clientID: clientID("\(id)"))
    let above = try await settings.text("centralBroker.host") == nil ? "broker" : "centralBroker"
    centralBroker = try await MQTTConfiguration(settings, above, clientID: clientID("\(id)-above"))
    data = try await ListenerConfiguration(settings, "data", host: "0.0.0.0", port: 7410)
    ops = try await ListenerConfiguration(settings, "ops", host: "127.0.0.1", port: 7411, namesCallers: true)
    maximumBytes = try await settings.number("maximumMiB", default: 1024, in: 1...65536) << 20
    stallSeconds = try await settings.number("stallSeconds", default: 30, in: 5...3600)
    limits = try await DataPlaneLimits { try await settings.number($0, default: $1, in: $2) }
  }
}

extension RegionConfiguration {
  /// The keys, for `--help`.
  package static let help = """
    id                      the region's id, as central's configuration declares it
    state                   folder for journal and cached models (default /var/lib/muster/region)
    broker.host, .port, .username, .password, .authorityFile, .keepAlive          the devices' broker
    centralBroker.host, …   central's broker (default: the same)
    data.host, .port        where devices reach it (default 0.0.0.0:7410)
    data.advertise          that address as devices reach it: http://host:7410
    ops.host, .port, .advertise    for operators (default 127.0.0.1:7411)
    ops.hosts               further names by which operators ask for it
    maximumMiB              of one contribution, where the region aggregates (default 1024)
    stallSeconds            a transfer to or from central in which nothing moves for so long is tried again (default 30)
    log.level               trace, debug, info, notice, warning, error

    """ + DataPlaneLimits.help
}
