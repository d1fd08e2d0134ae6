/// `GET /v1/info`: what clients need to know about a server.
package struct ServerInfo: Codable, Hashable, Sendable {
  package var coordinator: NodeID
  package var version: String
  /// Address of its broker: `mqtt://host:port`.
  package var broker: String
  package var data: String

  package init(coordinator: NodeID, version: String, broker: String, data: String) {
    self.coordinator = coordinator
    self.version = version
    self.broker = broker
    self.data = data
  }
}

/// The version of all programs in this repository.
package enum Muster {
  package static let version = "0.1.0"
}
