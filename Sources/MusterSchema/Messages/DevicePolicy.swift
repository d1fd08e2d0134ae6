/// The published part of a device owner's policy, for `muster task push --dry-run`. The device itself enforces the policy.
package struct DevicePolicy: Codable, Hashable, Sendable {
  /// The reason why the device takes part in no task now.
  package var declines: String?
  /// The only hosts that the device uploads to, as `host` or `host:port`. Absent: any host.
  package var uploadHosts: [String]?

  package init(declines: String? = nil, uploadHosts: [String]? = nil) {
    self.declines = declines
    self.uploadHosts = uploadHosts
  }

  /// The reason why a device that allows only these hosts does not upload to that address; `nil` if it does.
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
