import Testing

@testable import MusterSchema

/// Addresses as people write them, with IPv6 hosts in both spellings.
@Suite struct HostTests {
  @Test(
    "a host is a name, an IPv4 or an IPv6 address, and is written with brackets where it needs them",
    arguments: [
      ("hub", "hub", "hub"), ("Hub.Example", "hub.example", "hub.example"), ("my_host-1", "my_host-1", "my_host-1"),
      ("10.0.0.5", "10.0.0.5", "10.0.0.5"), ("::1", "::1", "[::1]"), ("[::1]", "::1", "[::1]"),
      ("2001:DB8:0:0::5", "2001:db8::5", "[2001:db8::5]"), ("[2001:db8::5]", "2001:db8::5", "[2001:db8::5]"), ("::", "::", "[::]"),
      ("fe80::1%eth0", "fe80::1%eth0", "[fe80::1%eth0]"), ("::ffff:10.0.0.5", "::ffff:10.0.0.5", "[::ffff:10.0.0.5]"),
      ("hub.", "hub.", "hub."),
    ])
  func hosts(text: String, name: String, written: String) throws {
    let host = try Host(validating: text)
    #expect(host.name == name)
    #expect(host.description == written)
    #expect(try Host(validating: written) == host)
  }

  @Test(
    "what can be no host is refused with a reason",
    arguments: [
      "", "[]", "[::1", "::1]", "[hub]", "[10.0.0.5]", "256.1.1.1", "1.2.3", "10.0.0.5:1883", "hub:1883", "a b", "http://hub", "hub/x",
      "-a",
      "a..b", "é", "a\u{0}b", "::1%", ":::", "1::2::3", "fe80::1%eth/0", String(repeating: "a", count: 64),
      Array(repeating: "abcdefgh", count: 40).joined(separator: "."),
    ])
  func noHosts(text: String) {
    let error = #expect(throws: AddressError.self) { try Host(validating: text) }
    #expect(error?.description.contains("is not a host") == true)
  }

  @Test(
    "a port follows the last colon, and an IPv6 address without brackets is all host",
    arguments: [
      ("hub:1883", "hub:1883"), ("hub", "hub:9"), ("[::1]:1883", "[::1]:1883"), ("[::1]", "[::1]:9"), ("::1", "[::1]:9"),
      ("2001:db8::5", "[2001:db8::5]:9"), ("10.0.0.5:65535", "10.0.0.5:65535"),
    ])
  func ports(text: String, expected: String) throws {
    #expect(try HostAndPort(validating: text, defaultPort: 9).description == expected)
  }

  @Test("a port is a number from 1 to 65535, and must be there where none is assumed")
  func noPorts() {
    for text in ["hub:0", "hub:65536", "hub:", "hub:x", "hub:+1", "[::1]:", ":1", "hub:99999999999999999999"] {
      #expect(throws: AddressError.self, "\(text)") { try HostAndPort(validating: text, defaultPort: 9) }
    }
    #expect(throws: AddressError.self) { try HostAndPort(validating: "hub") }
    let error = #expect(throws: AddressError.self) { try HostAndPort(validating: "::1") }
    #expect(error?.description.contains("[::1]:PORT") == true)
  }

  @Test("a server's address has a scheme, and neither credentials nor a bare IPv6 address")
  func servers() throws {
    #expect(try ServerAddress(validating: "http://[::1]:7400/x").server.description == "[::1]:7400")
    #expect(try ServerAddress(validating: "http://[2001:DB8::0:5]:7400").description == "http://[2001:db8::5]:7400")
    #expect(try ServerAddress(validating: "https://hub/a/b").description == "https://hub/a/b")
    for text in [
      "hub", "ftp://hub", "http://", "http://user@hub", "http://user:secret@hub:7400", "http://::1:7400", "http://hub:x", "http://h\u{1b}",
      "http://hub/a b", "http://hub\\@evil",
    ] {
      #expect(throws: AddressError.self, "\(text)") { try ServerAddress(validating: text) }
    }
    let secret = #expect(throws: AddressError.self) { try ServerAddress(validating: "http://user:secret@hub") }
    #expect(secret?.description.contains("secret") == false)
    for text in ["http://hub?x=1", "http://hub:7400/#a", "http://hub/?"] {
      #expect(throws: AddressError.self, "\(text)") { try ServerAddress(base: text) }
    }
  }
}
