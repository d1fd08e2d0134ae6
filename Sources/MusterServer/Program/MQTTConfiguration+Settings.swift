package import MusterMQTT
import MusterSchema

extension MQTTConfiguration {
  /// Keys: `NAME.host`, `NAME.port` (default 1883), `NAME.username`, `NAME.password` (a secret), `NAME.authorityFile` (a PEM file: TLS),
  /// `NAME.keepAlive` (seconds, default 30).
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

/// A client id that no second program shares: two programs with one identity then meet on their state topic, where it shows, instead of
/// throwing each other out of the broker.
package func clientID(_ role: String) -> String {
  "muster-\(role)-\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
}
