package import MusterSchema

/// One HTTP listener of a server: its host and port, the address that other programs get, and its limits.
package struct ListenerConfiguration: Hashable, Sendable {
  /// `data` or `ops`: the prefix of its configuration keys, used in errors and log lines.
  package var name: String
  package var host: String
  /// 0 takes a free port.
  package var port: Int
  /// The address at which other programs reach it: `http://host:port`.
  package var advertise: String
  /// Names by which callers may ask for the listener, in addition to its addresses and `localhost`. `nil` turns off the check of names and
  /// of web pages (``SiteMiddleware``).
  package var names: [Host]?
  package var limits: ListenerLimits
  /// `nil` listens without TLS.
  package var tls: ListenerTLS?

  package init(name: String, host: String = "127.0.0.1", port: Int, names: [Host]? = nil, limits: ListenerLimits = ListenerLimits()) {
    self.name = name
    self.host = host
    self.port = port
    self.names = names
    self.limits = limits
    advertise = "http://\(host):\(port)"
  }

  /// Whether only programs on this machine can reach the listener.
  package var isLoopback: Bool { host.hasPrefix("127.") || host == "localhost" || host == "::1" }

  /// A warning for the operator if other programs get an address that only this machine can reach.
  package var warning: String? {
    let isLocal = ["//127.", "//localhost", "//[::1]"].contains { advertise.contains($0) }
    guard isLocal, !isLoopback else { return nil }
    return "other programs get the address \(advertise), which only this machine can reach: set \(name).advertise"
  }
}
