/// `GET /v1/info`: what a client needs to know about a server: the brokers to tail.
package struct ServerInfo: Codable, Hashable, Sendable {
  package var coordinator: NodeID
  package var version: String
  /// `mqtt://host:port`
  package var broker: String
  package var data: String

  package init(coordinator: NodeID, version: String, broker: String, data: String) {
    self.coordinator = coordinator
    self.version = version
    self.broker = broker
    self.data = data
  }
}

/// The version that every program of this tree announces.
package enum Muster {
  package static let version = "0.1.0"
}
