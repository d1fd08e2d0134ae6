/// An HTTP address: scheme, host and port, and the path that follows them.
package struct ServerAddress: Hashable, Sendable, CustomStringConvertible {
  package let isTLS: Bool
  package let server: HostAndPort
  /// Everything after host and port, from the first `/`, `?` or `#`.
  package let path: String

  package var host: Host { server.host }
  package var port: Int { server.port }

  /// - Throws: ``AddressError`` unless the address is a plain `http(s)://host[:port][/path]`. Credentials are refused, because addresses
  ///   are logged and sent to other programs.
  package init(validating address: String) throws(AddressError) {
    let rest: Substring
    if address.hasPrefix("http://") {
      (isTLS, rest) = (false, address.dropFirst(7))
    } else if address.hasPrefix("https://") {
      (isTLS, rest) = (true, address.dropFirst(8))
    } else {
      throw AddressError("\"\(address.shown(100))\" must start with http:// or https://")
    }
    let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    path = String(rest[authority.endIndex...])
    guard !authority.contains("@") else {
      throw AddressError("an address must not contain a user name or a password, because it is logged and sent to other programs")
    }
    guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\\") }) else {
      throw AddressError("\"\(address.shown(100))\" contains a character that is not allowed in an address")
    }
    if !authority.hasPrefix("["), authority.filter({ $0 == ":" }).count > 1 {
      throw AddressError("\"\(address.shown(100))\" needs brackets around its IPv6 host, like http://[::1]:7400")
    }
    server = try HostAndPort(validating: authority, defaultPort: isTLS ? 443 : 80)
  }

  /// Returns `nil` unless the address is a plain `http(s)://host[:port][/path]`.
  package init?(_ address: String) {
    do { try self.init(validating: address) } catch { return nil }
  }

  /// The base address of a server, as sent to other programs. A query or a fragment is refused, because paths are appended to the address.
  package init(base address: String) throws(AddressError) {
    try self.init(validating: address)
    guard !path.contains("?"), !path.contains("#") else {
      throw AddressError("\"\(address.shown(100))\" must not have a query or a fragment")
    }
  }

  package var description: String {
    let isStandard = server.port == (isTLS ? 443 : 80)
    return "\(isTLS ? "https" : "http")://\(isStandard ? "\(host)" : "\(server)")\(path)"
  }
}
