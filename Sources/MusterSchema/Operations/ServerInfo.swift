/// `GET /v1/info`: what a client needs to know about a server: the brokers to tail.
public struct ServerInfo: Codable, Hashable, Sendable {
  public var coordinator: NodeID
  public var version: String
  /// `mqtt://host:port`
  public var broker: String
  public var data: String

  public init(coordinator: NodeID, version: String, broker: String, data: String) {
    self.coordinator = coordinator
    self.version = version
    self.broker = broker
    self.data = data
  }
}

/// The version that every program of this tree announces.
public enum Muster {
  public static let version = "0.1.0"
}
