import Glibc
import MusterGround
package import MusterSchema

/// The folder in which a member keeps its identity. Only its owner can read the files.
///
/// | file | holds |
/// | --- | --- |
/// | `key.pem` | the private key, made here |
/// | `certificate.pem` | the certificate with which the member shows who it is |
/// | `authority.pem` | the server authority, which signs the certificates of brokers and servers |
/// | `member.json`, `trust.json` | the newest statements about the member, and about the keys that sign statements |
package struct IdentityFolder: Hashable, Sendable {
  package let path: String

  package init(_ path: String) { self.path = path }

  package var keyFile: String { "\(path)/key.pem" }
  package var certificateFile: String { "\(path)/certificate.pem" }
  package var authorityFile: String { "\(path)/authority.pem" }
  private var memberFile: String { "\(path)/member.json" }
  private var trustFile: String { "\(path)/trust.json" }

  /// The member's key, which is made if there is none. Blocks until a new key is durable, because a certificate for a lost key is useless.
  package func key() throws(IdentityError) -> MemberKey {
    if let text = try text(keyFile) {
      guard let mode = Files.mode(keyFile), mode & 0o077 == 0 else { throw .exposed(path: keyFile) }
      do { return try MemberKey(pem: text) } catch { throw .malformed("\(keyFile) \(error)") }
    }
    let key = MemberKey()
    do throws(FileError) {
      try Files.makeFolder(path)
      try Files.replace(keyFile, with: Array(key.pem.utf8), durable: true)
    } catch {
      throw .file(error)
    }
    return key
  }

  /// The identity that an enrolment left here; `nil` before the first.
  ///
  /// - Throws: ``IdentityError`` for a file that cannot be read, or a statement whose signature is wrong.
  package func identity() throws(IdentityError) -> Identity? {
    // A file that cannot be read is an error: without it, a member would take itself for a machine of a plain fleet.
    guard try text(certificateFile) != nil else { return nil }
    let authority = try AuthorityCertificate(pem: try required(authorityFile))
    return try Identity(authority: authority, trust: try required(trustFile), member: try required(memberFile))
  }

  /// Stores what an enrolment returned, the certificate last: it marks that the rest is there. Blocks until it is durable.
  package func store(_ identity: Identity, certificate: String) throws(IdentityError) {
    do throws(FileError) {
      try Files.makeFolder(path)
      for (file, text) in [
        (authorityFile, identity.authority.pem), (trustFile, identity.trustLine), (memberFile, identity.memberLine),
        (certificateFile, certificate),
      ] {
        try Files.replace(file, with: Array(text.utf8), durable: true)
      }
    } catch {
      throw .file(error)
    }
  }

  private func required(_ file: String) throws(IdentityError) -> String {
    guard let text = try text(file) else { throw .malformed("\(file) is missing, so the identity is not complete: enrol again") }
    return text
  }

  private func text(_ file: String) throws(IdentityError) -> String? {
    do throws(FileError) {
      guard let text = String(validating: try Files.read(file, atMost: 64 << 10), as: UTF8.self) else {
        throw FileError(.read, file, EILSEQ)
      }
      return text
    } catch {
      if error.isMissing { return nil }
      throw .file(error)
    }
  }
}

/// A member's identity: its place in the fleet, and the keys whose statements it believes.
package struct Identity: Hashable, Sendable {
  package let authority: AuthorityCertificate
  package let trust: TrustStatement
  package let member: MemberStatement
  /// The statements as they were signed.
  package let trustLine: String
  package let memberLine: String

  /// - Parameters:
  ///   - trust: a line that the authority signed.
  ///   - member: a line that one of the keys in `trust` signed.
  package init(authority: AuthorityCertificate, trust trustLine: String, member memberLine: String) throws(IdentityError) {
    self.authority = authority
    self.trustLine = trustLine
    self.memberLine = memberLine
    do throws(StatementError) {
      trust = try MessageCoder.decode(
        TrustStatement.self, from: Array(trustLine.utf8), trusting: TrustedKeys(authority: authority.key))
      member = try MessageCoder.decode(MemberStatement.self, from: Array(memberLine.utf8), trusting: TrustedKeys(trust))
    } catch {
      throw .malformed("a statement about this member cannot be trusted: \(error)")
    }
  }

  package var trustedKeys: TrustedKeys { TrustedKeys(trust) }
}
