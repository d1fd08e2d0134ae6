/// Scheme, host and port of an HTTP address, and what stands behind them.
package struct ServerAddress: Hashable, Sendable, CustomStringConvertible {
  package let isTLS: Bool
  package let server: HostAndPort
  /// Everything behind host and port, from its `/`, `?` or `#`.
  package let path: String

  package var host: Host { server.host }
  package var port: Int { server.port }

  /// - Throws: ``AddressError`` for what is not plain `http(s)://host[:port][/path]`. Credentials in an address are refused: it is logged, and
  ///   told to others.
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
      throw AddressError("an address may not hold a user name or a password: it is told to others and logged")
    }
    guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\\") }) else {
      throw AddressError("\"\(address.shown(100))\" holds a character that no address may hold")
    }
    if !authority.hasPrefix("["), authority.filter({ $0 == ":" }).count > 1 {
      throw AddressError("\"\(address.shown(100))\": in an address an IPv6 host stands in brackets, like http://[::1]:7400")
    }
    server = try HostAndPort(validating: authority, defaultPort: isTLS ? 443 : 80)
  }

  /// Nil for what is not plain `http(s)://host[:port][/path]`.
  package init?(_ address: String) {
    do { try self.init(validating: address) } catch { return nil }
  }

  /// The address of a server as it is told to others: without a query or a fragment, which would end up in the middle of what is made of it.
  package init(base address: String) throws(AddressError) {
    try self.init(validating: address)
    guard !path.contains("?"), !path.contains("#") else {
      throw AddressError("\"\(address.shown(100))\" may not hold a query or a fragment")
    }
  }

  package var description: String {
    let isStandard = server.port == (isTLS ? 443 : 80)
    return "\(isTLS ? "https" : "http")://\(isStandard ? "\(host)" : "\(server)")\(path)"
  }
}
