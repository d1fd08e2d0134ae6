package import MusterMQTT
package import MusterSchema

/// The settings that central and regions share.
package struct ServerConfiguration: Sendable {
  /// `central`, or the region's id.
  package var id: NodeID
  /// The state folder.
  package var state: String
  /// The broker of the server's own nodes.
  package var broker: MQTTConfiguration
  package var data: ListenerConfiguration
  package var ops: ListenerConfiguration
  package var uploads: UploadLimits
  /// `nil` in a plain fleet.
  package var identity: ServerIdentity?

  /// Reads the keys `state` (a folder), `broker.*` (``MQTTConfiguration``), `data.*` and `ops.*` (``ListenerConfiguration``), and those of
  /// ``UploadLimits``.
  ///
  /// - Parameters:
  ///   - state: the default state folder; `nil` makes the key required.
  ///   - dataPort: the default port. The data listener binds to all addresses by default, the ops listener to loopback.
  package init(_ settings: ServerSettings, id: NodeID, state: String?, dataPort: Int, opsPort: Int) async throws {
    self.id = id
    self.state = try await settings.state(default: state)
    identity = try ServerIdentity(in: self.state)
    broker = try await MQTTConfiguration(settings, "broker", clientID: clientID("\(id)"), identity: identity, at: identity?.place.broker)
    let usualPort = identity.flatMap { ServerAddress($0.place.data)?.port } ?? dataPort
    data = try await ListenerConfiguration(
      settings, "data", host: "0.0.0.0", port: usualPort, advertise: identity?.place.data, tls: identity?.dataTLS)
    ops = try await ListenerConfiguration(
      settings, "ops", host: "127.0.0.1", port: opsPort, checksNames: true, limits: ListenerLimits(requestsPerSecond: 0))
    if identity != nil, !ops.isLoopback {
      throw ConfigurationError(
        "ops.host", "must be an address of this machine only (127.0.0.1): the ops listener makes members, and does not know its callers yet"
      )
    }
    uploads = try await UploadLimits(settings)
  }
}

extension ServerConfiguration {
  /// The description of the shared keys for `--help`.
  package static func help(state: String, dataPort: Int, opsPort: Int) -> String {
    """
    state                   folder for the journal and models (default \(state))
    broker.host, .port, .username, .password, .authorityFile, .keepAlive          the broker of this server's nodes
    data.host, .port        where nodes reach this server (default 0.0.0.0:\(dataPort))
    data.advertise          the address that nodes are told: http://host:\(dataPort)
    ops.host, .port, .advertise    for operators (default 127.0.0.1:\(opsPort))
    ops.hosts               further names under which operators reach it
    log.level               trace, debug, info, notice, warning, error, critical
    maximumMiB              size of one contribution (default 1024)
    data.limits.uploads, .uploadMiB   uploads in progress at a time (256), and the bytes that they announce (8192 MiB)
    data.limits.partialUploads, .partialUploadsPerNode, .partialMiB, .partialHours
                            interrupted uploads that are kept (1024, 4, 16384, 24)
    data.limits.*, ops.limits.*, for each listener:
      connections           at a time (default 4096)
      requestsPerSecond     of one client address (default: data 2000, ops 0; 0 turns the limit off)
      headerKiB             of one request's head (default 16)
      headSeconds, stallSeconds, bytesPerSecond      how slow a client may be (20, 30, 128)

    """
  }
}
