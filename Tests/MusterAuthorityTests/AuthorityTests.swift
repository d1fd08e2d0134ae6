import FoundationEssentials
import Glibc
import MusterSchema
import TestSupport
import Testing

@testable import MusterAuthority
@testable import MusterIdentity

@Suite("Authorities")
struct AuthorityTests {
  private let now = WallTime("2026-11-30T12:00:00.000Z") ?? .now
  private let pi = NodeID(unchecked: "pi-1")

  private func requested() throws -> (MemberKey, RequestedKey) {
    let key = MemberKey()
    return (key, try RequestedKey(request: try key.certificateRequest()))
  }

  @Test("a member's request carries its key, and only that")
  func request() throws {
    let (key, requested) = try requested()
    #expect(requested.fingerprint == key.fingerprint)
  }

  @Test("requests that are altered, too large, of another key or no requests are refused")
  func badRequests() throws {
    let (key, other) = (MemberKey(), MemberKey())
    let der = try #require(try PEM.decode("CERTIFICATE REQUEST", in: try key.certificateRequest()).first)
    let foreign = try #require(try PEM.decode("CERTIFICATE REQUEST", in: try other.certificateRequest()).first)
    // The same request with somebody else's public key in it: its signature no longer fits.
    let stolen = swapping(key: foreign, into: der)
    #expect(stolen.count == der.count && stolen != der)
    for bytes in [stolen, Array(der.dropLast()), der.map { $0 ^ 1 }, []] {
      #expect(throws: AuthorityError.self) { try RequestedKey(request: PEM.encode("CERTIFICATE REQUEST", bytes)) }
    }
    #expect(throws: AuthorityError.self) { try RequestedKey(request: "") }
    #expect(throws: AuthorityError.self) { try RequestedKey(request: String(repeating: "a", count: 9000)) }
    let error = #expect(throws: AuthorityError.self) { try RequestedKey(request: PEM.encode("CERTIFICATE REQUEST", stolen)) }
    #expect(error.map { "\($0)" } == "the certificate request is not signed with its own key")
  }

  /// Copies the 65 bytes of the point, which follow the algorithm, from one request into another.
  private func swapping(key source: [UInt8], into target: [UInt8]) -> [UInt8] {
    func point(_ bytes: [UInt8]) -> Int? {
      (0..<(bytes.count - 26)).first { bytes[$0..<($0 + DER.p256Algorithm.count)].elementsEqual(DER.p256Algorithm) }
        .map { $0 + DER.p256Algorithm.count + 3 }
    }
    guard let from = point(source), let to = point(target) else { return [] }
    var target = target
    target.replaceSubrange(to..<(to + 65), with: source[from..<(from + 65)])
    return target
  }

  @Test("OpenSSL accepts a member's certificate as a client's, whatever the device's clock says, and not as a server's")
  func memberCertificate() async throws {
    let folder = try TemporaryFolder()
    let authority = try Authority(named: "Muster device authority")
    let (_, key) = try requested()
    let issued = try authority.issue(member: pi, for: key, days: 90, at: now)
    #expect(issued.end == WallTime("2027-02-28T12:00:00.000Z") && issued.key == key.fingerprint)
    let (ca, certificate) = (
      try folder.write(Array(try authority.pem.utf8), to: "ca.pem"), try folder.write(Array(issued.pem.utf8), to: "pi-1.pem")
    )
    func verify(_ purpose: String, at time: Int) async throws -> Int32 {
      try await openssl(["verify", "-x509_strict", "-purpose", purpose, "-attime", "\(time)", "-CAfile", ca, certificate]).status
    }
    #expect(try await verify("sslclient", at: 1) == 0)
    #expect(try await verify("sslclient", at: 1_795_000_000) == 0)
    #expect(try await verify("sslclient", at: 1_810_000_000) != 0, "the certificate has an end")
    #expect(try await verify("sslserver", at: 1) != 0)
    let shown = try await openssl(["x509", "-in", certificate, "-noout", "-subject", "-serial", "-issuer"]).output
    #expect(shown.contains("CN = pi-1\n") && shown.lowercased().contains("serial=\(issued.serial)"), "\(shown)")
    #expect(shown.contains("issuer=CN = Muster device authority "))
  }

  @Test("a server's certificate holds the operator's names and is valid from 1970 to 2049")
  func serverCertificate() async throws {
    let folder = try TemporaryFolder()
    let authority = try Authority(named: "Muster server authority")
    let (_, key) = try requested()
    let names = try ["north.example.org", "10.0.1.1", "2001:db8::5"].map { try Host(validating: $0) }
    let issued = try authority.issue(server: NodeID(unchecked: "north"), names: names, for: key)
    let (ca, certificate) = (
      try folder.write(Array(try authority.pem.utf8), to: "ca.pem"), try folder.write(Array(issued.pem.utf8), to: "north.pem")
    )
    for time in [1, 2_145_916_800, 2_524_607_998] {
      for name in [["-verify_hostname", "north.example.org"], ["-verify_ip", "10.0.1.1"], ["-verify_ip", "2001:db8::5"]] {
        let ran = try await openssl(
          ["verify", "-x509_strict", "-purpose", "sslserver", "-attime", "\(time)", "-CAfile", ca] + name + [certificate])
        #expect(ran.status == 0, "\(ran.output)")
      }
    }
    #expect(try await openssl(["verify", "-verify_hostname", "south.example.org", "-CAfile", ca, certificate]).status != 0)
    #expect(throws: AuthorityError.self) { try authority.issue(server: NodeID(unchecked: "north"), names: [], for: key) }
  }

  @Test("OpenSSL refuses revoked certificates by the list, accepts others, and reads the list's number")
  func revocation() async throws {
    let folder = try TemporaryFolder()
    let authority = try Authority(named: "Muster device authority")
    let lost = try authority.issue(member: pi, for: try requested().1, days: 90, at: now)
    let kept = try authority.issue(member: NodeID(unchecked: "pi-2"), for: try requested().1, days: 90, at: now)
    let ca = try folder.write(Array(try authority.pem.utf8), to: "ca.pem")
    for (index, revoked) in [[], [Revocation(serial: lost.serial, at: now)]].enumerated() {
      let list = try authority.revocationList(revoked, number: 41 + index)
      let file = try folder.write(Array(list.utf8), to: "crl\(index).pem")
      for (certificate, isLost) in [(lost, true), (kept, false)] {
        let path = try folder.write(Array(certificate.pem.utf8), to: "\(certificate.serial).pem")
        let ran = try await openssl(
          ["verify", "-x509_strict", "-crl_check", "-attime", "1795000000", "-CAfile", ca, "-CRLfile", file, path])
        #expect((ran.status != 0) == (isLost && index == 1), "\(ran.output)")
        if isLost && index == 1 { #expect(ran.output.contains("certificate revoked")) }
      }
      let shown = try await openssl(["crl", "-in", file, "-noout", "-crlnumber", "-CAfile", ca, "-lastupdate", "-nextupdate"]).output
      #expect(shown.contains(index == 0 ? "0x29" : "0x2A") && shown.contains("verify OK"), "\(shown)")
      #expect(shown.contains("Jan  1 00:00:00 1970 GMT") && shown.contains("Dec 31 23:59:59 2049 GMT"), "\(shown)")
    }
  }

  @Test("serial numbers are read back, and nothing like them")
  func serials() throws {
    let issued = try Authority(named: "A").issue(member: pi, for: try requested().1, days: 1, at: now)
    #expect(SerialNumber("\(issued.serial)") == issued.serial)
    for text in ["", "0", "0G", "0A", String(repeating: "00", count: 21)] { #expect(SerialNumber(text) == nil) }
  }

  @Test("an authority is restored from its files, and refuses a key that is not its own")
  func restored() throws {
    let (first, second) = (try Authority(named: "A"), try Authority(named: "A"))
    let again = try Authority(certificate: try first.pem, key: first.keyPEM)
    #expect(try again.pem == first.pem)
    #expect(throws: AuthorityError.malformed("the key does not belong to the certificate")) {
      try Authority(certificate: try first.pem, key: second.keyPEM)
    }
  }
}

/// Runs the command line of OpenSSL, which knows nothing of Muster.
private func openssl(_ arguments: [String]) async throws -> (status: Int32, output: String) {
  let folder = try TemporaryFolder()
  let process = try ChildProcess("openssl", arguments, log: folder.file("log"))
  let status = try await process.wait()
  return (status, process.log)
}

@Suite("The folder of the authorities")
struct AuthorityFolderTests {
  @Test("it is made once; members who know the server authority trust its statement key")
  func made() throws {
    let folder = try TemporaryFolder()
    let authorities = AuthorityFolder(folder.file("authority"))
    #expect(throws: AuthorityError.missing(folder: authorities.path)) { try authorities.load() }
    try authorities.make()
    #expect(throws: AuthorityError.exists(folder: authorities.path)) { try authorities.make() }
    let loaded = try authorities.load()
    let key = MemberKey()
    let member = MemberStatement(
      node: NodeID(unchecked: "pi-1"), nodeKind: .device, key: key.fingerprint, broker: "mqtts://a:8883", central: "https://b:7400",
      revision: 1, generation: 0)
    let line = String(decoding: try MessageCoder.sign(member, with: loaded.statements), as: UTF8.self)
    let certificate = try loaded.device.issue(
      member: member.node, for: try RequestedKey(request: try key.certificateRequest()), days: 90, at: .now)
    let mine = IdentityFolder(folder.file("identity"))
    try mine.store(try Identity(authority: loaded.server, trust: loaded.trustLine, member: line), certificate: certificate.pem)
    let identity = try #require(try mine.identity())
    #expect(identity.member == member && identity.trust.keys.map(\.key) == [loaded.statements.key])

    // Another fleet's authority does not vouch for these statements.
    let other = AuthorityFolder(folder.file("other"))
    try other.make()
    #expect(throws: IdentityError.self) {
      try Identity(authority: try other.load().server, trust: loaded.trustLine, member: line)
    }
  }

  @Test("no private key can be read by others, and one that can be is refused")
  func modes() throws {
    let folder = try TemporaryFolder()
    let authorities = AuthorityFolder(folder.file("authority"))
    try authorities.make()
    for name in try FileManager.default.contentsOfDirectory(atPath: authorities.path) {
      var status = stat()
      #expect(stat("\(authorities.path)/\(name)", &status) == 0 && status.st_mode & 0o077 == 0, "\(name)")
    }
    for name in ["server-authority.key", "device-authority.key", "statement.key"] {
      let file = "\(authorities.path)/\(name)"
      chmod(file, 0o644)
      #expect(throws: AuthorityError.exposed(path: file)) { try authorities.load() }
      chmod(file, 0o600)
    }
  }

  @Test("without the server authority's key everything but its work goes on")
  func offline() throws {
    let folder = try TemporaryFolder()
    let authorities = AuthorityFolder(folder.file("authority"))
    try authorities.make()
    unlink("\(authorities.path)/server-authority.key")
    #expect(try authorities.load().serverKey == nil)
    unlink("\(authorities.path)/device-authority.key")
    #expect(throws: AuthorityError.self) { try authorities.load() }
  }
}
