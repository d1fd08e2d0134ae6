package import MusterMQTT
import MusterSchema

extension MQTTConfiguration {
  /// Reads the keys `NAME.host`, `NAME.port` (default 1883), `NAME.username`, `NAME.password` (a secret), `NAME.authorityFile` (a PEM file,
  /// which turns on TLS), `NAME.keepAlive` (seconds, default 30).
  package init(_ settings: ServerSettings, _ name: String, clientID: String) async throws {
    self.init(
      host: try await settings.host("\(name).host", default: "127.0.0.1").name,
      port: try await settings.number("\(name).port", default: 1883, in: 1...65535), clientID: clientID)
    username = try await settings.text("\(name).username")
    password = try await settings.text("\(name).password", isSecret: true)
    authorityFile = try await settings.text("\(name).authorityFile")
    keepAlive = .seconds(try await settings.number("\(name).keepAlive", default: 30, in: 5...3600))
  }
}

/// A client id with a random end. Two programs with the same identity can then both connect and detect each other on their state topic,
/// instead of disconnecting each other from the broker.
package func clientID(_ role: String) -> String {
  "muster-\(role)-\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
}
