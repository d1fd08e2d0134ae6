internal import Glibc

/// The reason why a string is not an address.
package struct AddressError: Error, Hashable, CustomStringConvertible {
  package let description: String

  init(_ description: String) { self.description = description }
}

/// A host as people write it: a name, an IPv4 address, or an IPv6 address with or without brackets.
///
/// Names are not resolved here. Only names that no resolver could accept are refused.
package struct Host: Hashable, Sendable, CustomStringConvertible {
  /// The form for sockets and resolvers: without brackets, in lowercase, an IPv6 address in its shortest form.
  package let name: String

  package init(validating text: some StringProtocol) throws(AddressError) {
    let isBracketed = text.hasPrefix("[") && text.hasSuffix("]")
    let bare = String(isBracketed ? text.dropFirst().dropLast() : text[...])
    if isBracketed || bare.contains(":") {
      guard let address = Self.canonicalIPv6(bare) else { throw Self.refusal(text) }
      name = address
    } else {
      guard Self.isName(bare) || Self.isIPv4(bare) else { throw Self.refusal(text) }
      name = bare.lowercased()
    }
  }

  package var isIPv6: Bool { name.contains(":") }
  /// Whether the host is an address and not a name.
  package var isNumeric: Bool { isIPv6 || Self.isIPv4(name) }

  /// The form for a URL and for `host:port`: an IPv6 address has brackets.
  package var description: String { isIPv6 ? "[\(name)]" : name }

  /// The 4 or 16 bytes of an address; `nil` for a name, and for an address that names an interface.
  package var addressBytes: [UInt8]? {
    var (four, sixteen) = (in_addr(), in6_addr())
    if inet_pton(AF_INET, name, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
    if inet_pton(AF_INET6, name, &sixteen) == 1 { return withUnsafeBytes(of: &sixteen) { Array($0) } }
    return nil
  }

  fileprivate static func refusal(_ text: some StringProtocol) -> AddressError {
    AddressError(
      "\"\(text.shown(100))\" is not a host: give a name, an IPv4 or an IPv6 address, without scheme, port or path")
  }

  private static func isIPv4(_ text: String) -> Bool {
    var address = in_addr()
    return inet_pton(AF_INET, text, &address) == 1
  }

  private static func canonicalIPv6(_ text: String) -> String? {
    // A link-local address can have a suffix that names its interface: fe80::1%eth0.
    let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
    var address = in6_addr()
    guard let number = parts.first, inet_pton(AF_INET6, String(number), &address) == 1 else { return nil }
    var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard inet_ntop(AF_INET6, &address, &buffer, socklen_t(buffer.count)) != nil else { return nil }
    let canonical = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard parts.count == 2 else { return canonical }
    guard (1...15).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy(isNameByte) else { return nil }
    return "\(canonical)%\(parts[1])"
  }

  /// Whether the labels consist of letters, digits, `-` and `_`, and the last is not a number: such a name is a mistyped IPv4 address.
  private static func isName(_ text: String) -> Bool {
    guard (1...253).contains(text.utf8.count) else { return false }
    let labels = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    // A dot at the end marks a fully qualified name.
    let named = labels.count > 1 && labels.last?.isEmpty == true ? labels.dropLast() : labels[...]
    guard let last = named.last, !last.allSatisfy({ (0x30...0x39).contains($0) }) else { return false }
    return named.allSatisfy { label in
      (1...63).contains(label.count) && label.allSatisfy { $0 != UInt8(ascii: ".") && isNameByte($0) } && label.first != UInt8(ascii: "-")
    }
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == UInt8(ascii: "-")
      || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
  }
}

/// A host and a port: `broker.lan:1883`, `10.0.0.5:1883`, `[2001:db8::5]:1883`.
package struct HostAndPort: Hashable, Sendable, CustomStringConvertible {
  package let host: Host
  package let port: Int

  package init(_ host: Host, port: Int) {
    self.host = host
    self.port = port
  }

  /// - Parameter defaultPort: the port if the string has none; with `nil`, a string without a port is refused.
  package init(validating text: some StringProtocol, defaultPort: Int? = nil) throws(AddressError) {
    // Probably a whole URL, whose scheme must not be read as a host.
    if text.contains("/") { throw Host.refusal(text) }
    // More than one colon without brackets is an IPv6 address without a port.
    let isBareIPv6 = !text.hasPrefix("[") && text.filter { $0 == ":" }.count > 1
    let colon = isBareIPv6 ? nil : text.lastIndex(of: ":").flatMap { text[$0...].contains("]") ? nil : $0 }
    host = try Host(validating: text[..<(colon ?? text.endIndex)])
    if let colon {
      guard let number = Bounds(1...65_535).read(text[text.index(after: colon)...]) else {
        throw AddressError("\"\(text.shown(100))\" has no port from 1 to 65535 after its colon")
      }
      port = number
    } else {
      guard let defaultPort else {
        throw AddressError("\"\(text.shown(100))\" needs a port: write \(host):PORT")
      }
      port = defaultPort
    }
  }

  /// The host and port of `mqtts://host:port`; `nil` for anything else.
  package init?(broker address: String) {
    guard address.hasPrefix("mqtts://") else { return nil }
    do { try self.init(validating: address.dropFirst(8), defaultPort: 8883) } catch { return nil }
  }

  package var description: String { "\(host):\(port)" }
}
