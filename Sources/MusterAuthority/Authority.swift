internal import Crypto
internal import FoundationEssentials
package import MusterSchema
internal import SwiftASN1
internal import X509

package import struct MusterSchema.Digest

/// A certificate authority: a P-256 key, and the certificate that it signed for itself.
///
/// A fleet has two. The *server authority* signs the certificates of brokers and servers; members know it from their enrolment token. The
/// *device authority* signs the certificates with which members show who they are. They are separate because every authority that a broker
/// accepts for logins can make logins, and because the key of the server authority can be taken offline.
package struct Authority: Sendable {
  private let key: P256.Signing.PrivateKey
  private let certificate: Certificate

  /// A new authority. Its certificate is valid from 1970 to 2049, so that no device's clock matters.
  ///
  /// - Parameter name: the common name, for people. Eight digits of the key's hash are added, so that two authorities differ.
  package init(named name: String) throws(AuthorityError) {
    key = P256.Signing.PrivateKey()
    let publicKey = Certificate.PublicKey(key.publicKey)
    let mark = Digest(of: key.publicKey.derRepresentation).hexadecimal.prefix(8)
    certificate = try AuthorityError.catching {
      [key] in
      let subject = try DistinguishedName { CommonName("\(name) \(mark)") }
      return try Certificate(
        version: .v3, serialNumber: .fresh(), publicKey: publicKey, notValidBefore: .authorityBegin,
        notValidAfter: .authorityEnd, issuer: subject, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
        extensions: try Certificate.Extensions {
          Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
          Critical(KeyUsage(keyCertSign: true, cRLSign: true))
          SubjectKeyIdentifier(hash: publicKey)
        },
        issuerPrivateKey: Certificate.PrivateKey(key))
    }
  }

  /// - Throws: ``AuthorityError`` unless both are valid PEM and belong together.
  package init(certificate: String, key: String) throws(AuthorityError) {
    let read: P256.Signing.PrivateKey
    do { read = try P256.Signing.PrivateKey(pemRepresentation: key) } catch { throw .malformed("the key is not a P-256 key in PEM") }
    self.key = read
    do { self.certificate = try Certificate(pemEncoded: certificate) } catch {
      throw .malformed("the certificate is not valid PEM: \(error)")
    }
    guard self.certificate.publicKey == Certificate.PublicKey(read.publicKey) else {
      throw .malformed("the key does not belong to the certificate")
    }
  }

  /// The certificate in PEM.
  package var pem: String {
    get throws(AuthorityError) { try AuthorityError.catching { [certificate] in try certificate.serializeAsPEM().pemString + "\n" } }
  }

  /// The private key in PEM. It is written to one file, and never logged.
  package var keyPEM: String { key.pemRepresentation + "\n" }

  /// The key as a signer of statements.
  var signingKey: SigningKey {
    get throws(AuthorityError) {
      guard let signer = SigningKey(p256: Array(key.rawRepresentation)) else { throw .malformed("the key is not a P-256 key") }
      return signer
    }
  }

  // MARK: - Issuing

  /// The certificate with which a member shows who it is: the common name is its id. It names no region.
  ///
  /// - Parameters:
  ///   - days: the certificate is valid from 1970 until this many days after `now`, because a device's clock may be wrong. Brokers and servers
  ///     check it, and have the right time.
  package func issue(member: NodeID, for key: RequestedKey, days: Int, at now: WallTime) throws(AuthorityError) -> IssuedCertificate {
    let end = now.date.addingTimeInterval(Double(days) * 86_400)
    return try issue(to: "\(member)", for: key, until: min(end, .authorityEnd), for: .clientAuth, names: [])
  }

  /// The certificate of a broker and of a server's listeners.
  ///
  /// - Parameter names: the names and addresses by which clients reach the machine. They come from the operator and never from a request.
  package func issue(server name: NodeID, names: [Host], for key: RequestedKey) throws(AuthorityError) -> IssuedCertificate {
    guard !names.isEmpty else { throw .malformed("a server's certificate needs at least one name") }
    return try issue(to: "\(name)", for: key, until: .authorityEnd, for: .serverAuth, names: names)
  }

  private func issue(
    to name: String, for requested: RequestedKey, until end: Date, for usage: ExtendedKeyUsage.Usage, names: [Host]
  ) throws(AuthorityError) -> IssuedCertificate {
    let serial = Certificate.SerialNumber.fresh()
    let alternatives = try names.map { (host) throws(AuthorityError) in try GeneralName(host) }
    let issued = try AuthorityError.catching { [certificate, key] in
      try Certificate(
        version: .v3, serialNumber: serial, publicKey: Certificate.PublicKey(requested.key), notValidBefore: .authorityBegin,
        notValidAfter: end, issuer: certificate.subject, subject: try DistinguishedName { CommonName(name) },
        signatureAlgorithm: .ecdsaWithSHA256,
        extensions: try Certificate.Extensions {
          Critical(BasicConstraints.notCertificateAuthority)
          Critical(KeyUsage(digitalSignature: true))
          try ExtendedKeyUsage([usage])
          if !alternatives.isEmpty { SubjectAlternativeNames(alternatives) }
          AuthorityKeyIdentifier(
            keyIdentifier: SubjectKeyIdentifier(hash: certificate.publicKey).keyIdentifier)
        },
        issuerPrivateKey: Certificate.PrivateKey(key))
    }
    let pem = try AuthorityError.catching { try issued.serializeAsPEM().pemString + "\n" }
    return IssuedCertificate(pem: pem, serial: SerialNumber(serial.bytes), end: WallTime(end), key: requested.fingerprint)
  }

  /// A list of revoked certificates (RFC 5280, section 5) in PEM.
  ///
  /// It is valid from 1970 to 2049: a broker refuses everybody while its clock is outside of the validity of its list, so a list that
  /// expires would lock a region out that cannot reach central. `number` tells newer lists from older ones.
  package func revocationList(_ revoked: [Revocation], number: Int) throws(AuthorityError) -> String {
    let list = RevocationList(issuer: certificate.subject, authorityKey: certificate.publicKey, revoked: revoked, number: number)
    return try AuthorityError.catching { [key] in try list.signed(with: key) }
  }
}

/// A certificate that an authority issued.
package struct IssuedCertificate: Hashable, Sendable {
  package var pem: String
  package var serial: SerialNumber
  /// The end of its validity.
  package var end: WallTime
  /// The fingerprint of its key.
  package var key: Digest
}

extension Certificate.SerialNumber {
  /// 16 random bytes, of which the first is neither 0 nor above 127: so a serial number has one spelling in all tools.
  fileprivate static func fresh() -> Certificate.SerialNumber {
    var generator = SystemRandomNumberGenerator()
    let bytes = [UInt8.random(in: 1...127, using: &generator)] + (1..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    return Certificate.SerialNumber(bytes: bytes)
  }
}

extension Date {
  /// 1970-01-01T00:00:00Z
  static var authorityBegin: Date { Date(timeIntervalSince1970: 0) }
  /// 2049-12-31T23:59:59Z, the last time that certificates write with two digits for the year. Some libraries read no other.
  static var authorityEnd: Date { Date(timeIntervalSince1970: 2_524_607_999) }
}

extension GeneralName {
  fileprivate init(_ host: Host) throws(AuthorityError) {
    guard host.isNumeric else {
      self = .dnsName(host.name)
      return
    }
    guard let bytes = host.addressBytes else { throw .malformed("\(host) cannot be the address of a server") }
    self = .ipAddress(ASN1OctetString(contentBytes: bytes[...]))
  }
}
