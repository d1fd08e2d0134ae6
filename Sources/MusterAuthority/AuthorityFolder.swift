import MusterGround
package import MusterIdentity
package import MusterSchema

/// What central signs with: its authorities and its statement key.
package struct Authorities: Sendable {
  package let server: AuthorityCertificate
  /// `nil` while the key is offline. Certificates of servers and changes of the statement keys then wait for it.
  package let serverKey: Authority?
  package let device: Authority
  /// Signs the statements `member`, `order` and `task`.
  package let statements: SigningKey
  /// The signed list of statement keys.
  package let trustLine: String
}

/// The folder in which central keeps its authorities. Only its owner can read the files.
///
/// | file | holds |
/// | --- | --- |
/// | `server-authority.pem`, `.key` | signs the certificates of brokers and servers, and `trust.json`. The key may be taken offline |
/// | `device-authority.pem`, `.key` | signs the certificates of members |
/// | `statement.key` | the Ed25519 key that signs statements |
/// | `trust.json` | the public statement keys, signed by the server authority |
package struct AuthorityFolder: Hashable, Sendable {
  package let path: String

  package init(_ path: String) { self.path = path }

  private static let (server, device) = ("server-authority", "device-authority")
  private static let statementKeyMark = "muster-statement-key-1 "
  /// The kinds of statements that central's key signs.
  private static let kinds = [MemberStatement.kind, "order", TaskDescriptor.kind]

  private var statementKeyFile: String { "\(path)/statement.key" }
  private var trustFile: String { "\(path)/trust.json" }
  private func certificateFile(_ name: String) -> String { "\(path)/\(name).pem" }
  private func keyFile(_ name: String) -> String { "\(path)/\(name).key" }

  /// Whether ``make()`` has finished here.
  package var isThere: Bool { Files.exists(trustFile) }

  /// Makes new authorities and a new statement key. Blocks until they are durable. `trust.json` is written last, and marks that the rest is
  /// there.
  ///
  /// - Throws: ``AuthorityError/exists(folder:)`` if there are authorities already: nothing they signed would be accepted any more.
  package func make() throws(AuthorityError) {
    guard !isThere else { throw .exists(folder: path) }
    do throws(FileError) { try Files.makeFolder(path) } catch { throw .file(error) }
    let server = try Authority(named: "Muster server authority")
    for (name, authority) in [(Self.server, server), (Self.device, try Authority(named: "Muster device authority"))] {
      try write(keyFile(name), authority.keyPEM)
      try write(certificateFile(name), try authority.pem)
    }
    let statements = SigningKey()
    try write(statementKeyFile, "\(Self.statementKeyMark)\(Base64URL.encode(statements.bytes))\n")
    let trust = TrustStatement(version: 1, generation: 0, keys: [.init(key: statements.key, kinds: Self.kinds)])
    try write(trustFile, try server.sign(trust))
  }

  /// - Throws: ``AuthorityError/missing(folder:)`` before ``make()``; another error for a file that cannot be used.
  package func load() throws(AuthorityError) -> Authorities {
    guard isThere else { throw .missing(folder: path) }
    let file = certificateFile(Self.server)
    let server: AuthorityCertificate
    do { server = try AuthorityCertificate(pem: try text(file)) } catch { throw .malformed("\(file): \(error)") }
    return Authorities(
      server: server, serverKey: Files.exists(keyFile(Self.server)) ? try authority(Self.server) : nil, device: try authority(Self.device),
      statements: try statementKey(), trustLine: try text(trustFile))
  }

  private func authority(_ name: String) throws(AuthorityError) -> Authority {
    let (certificate, key) = (try text(certificateFile(name)), try secret(keyFile(name)))
    do { return try Authority(certificate: certificate, key: key) } catch { throw .malformed("\(path)/\(name): \(error)") }
  }

  private func statementKey() throws(AuthorityError) -> SigningKey {
    let text = try secret(statementKeyFile)
    guard text.hasPrefix(Self.statementKeyMark),
      let bytes = Base64URL.decode(text.dropFirst(Self.statementKeyMark.count).prefix { !$0.isNewline }),
      let key = SigningKey(ed25519: bytes)
    else { throw .malformed("\(statementKeyFile) does not hold a statement key") }
    return key
  }

  private func secret(_ file: String) throws(AuthorityError) -> String {
    guard let mode = Files.mode(file), mode & 0o077 != 0 else { return try text(file) }
    throw .exposed(path: file)
  }

  private func text(_ file: String) throws(AuthorityError) -> String {
    let bytes: [UInt8]
    do throws(FileError) { bytes = try Files.read(file, atMost: 64 << 10) } catch { throw .file(error) }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .malformed("\(file) is not text") }
    return text
  }

  private func write(_ file: String, _ text: String) throws(AuthorityError) {
    do throws(FileError) { try Files.replace(file, with: Array(text.utf8), durable: true) } catch { throw .file(error) }
  }
}

extension Authority {
  /// Signs the list of statement keys. Only the server authority does this, because every member knows it from its enrolment token.
  package func sign(_ trust: TrustStatement) throws(AuthorityError) -> String {
    let key = try signingKey
    return String(decoding: try AuthorityError.catching { try MessageCoder.sign(trust, with: key) }, as: UTF8.self)
  }
}
