package import MusterMQTT
import MusterSchema

extension MQTTConfiguration {
  /// Reads the keys `NAME.host`, `NAME.port` (default 1883), `NAME.username`, `NAME.password` (a secret), `NAME.authorityFile` (a PEM file,
  /// which turns on TLS), `NAME.keepAlive` (seconds, default 30).
  ///
  /// - Parameters:
  ///   - identity: the server's identity in an enrolled fleet. The connection then uses its certificate.
  ///   - address: the default address, `mqtts://host:port`.
  package init(
    _ settings: ServerSettings, _ name: String, clientID: String, identity: ServerIdentity? = nil, at address: String? = nil
  ) async throws {
    var usual = HostAndPort(try Host(validating: "127.0.0.1"), port: 1883)
    if let address, let known = HostAndPort(broker: address) { usual = known }
    self.init(
      host: try await settings.host("\(name).host", default: usual.host.name).name,
      port: try await settings.number("\(name).port", default: usual.port, in: 1...65535), clientID: clientID)
    username = try await settings.text("\(name).username")
    password = try await settings.text("\(name).password", isSecret: true)
    authorityFile = try await settings.text("\(name).authorityFile")
    if let identity { use(identity.folder) }
    keepAlive = .seconds(try await settings.number("\(name).keepAlive", default: 30, in: 5...3600))
  }
}

/// A client id with a random end. Two programs with the same identity can then both connect and detect each other on their state topic,
/// instead of disconnecting each other from the broker.
package func clientID(_ role: String) -> String {
  "muster-\(role)-\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
}
