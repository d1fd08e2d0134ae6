internal import FoundationEssentials
package import MusterSchema

/// PEM (RFC 7468): a value in DER as text.
package enum PEM {
  package static func encode(_ label: String, _ bytes: [UInt8]) -> String {
    let text = Data(bytes).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
    return "-----BEGIN \(label)-----\n\(text)\n-----END \(label)-----\n"
  }

  /// Decodes all values with this label, in their order. Other text between them is ignored, as RFC 7468 allows.
  ///
  /// - Throws: ``IdentityError/malformed(_:)`` for a value that does not end or is not base64.
  package static func decode(_ label: String, in text: String) throws(IdentityError) -> [[UInt8]] {
    var values: [[UInt8]] = []
    var lines: [Substring]?
    for line in text.split(whereSeparator: \.isNewline) {
      switch line {
      case "-----BEGIN \(label)-----": lines = []
      case "-----END \(label)-----":
        guard let content = lines, let value = Data(base64Encoded: content.joined()) else {
          throw .malformed("a \(label) in PEM is not valid base64")
        }
        values.append(Array(value))
        lines = nil
      default: lines?.append(line)
      }
    }
    guard lines == nil else { throw .malformed("a \(label) in PEM does not end") }
    return values
  }
}

/// The certificate of a server authority, of which a member needs only the digest and the key. TLS libraries check certificates.
package struct AuthorityCertificate: Hashable, Sendable {
  package let pem: String
  /// The SHA-256 of the certificate in DER, which enrolment tokens contain.
  package let digest: Digest
  /// The key that signs ``TrustStatement``.
  package let key: StatementKey

  /// - Throws: ``IdentityError/malformed(_:)`` unless the text holds one certificate of a P-256 key.
  package init(pem: String) throws(IdentityError) {
    let certificates = try PEM.decode("CERTIFICATE", in: pem)
    guard certificates.count == 1 else { throw .malformed("the authority has \(certificates.count) certificates instead of one") }
    guard let key = DERReader.p256Key(ofCertificate: certificates[0]) else {
      throw .malformed("the authority is not a certificate of a P-256 key")
    }
    self.pem = PEM.encode("CERTIFICATE", certificates[0])
    digest = Digest(of: certificates[0])
    self.key = .p256(key)
  }
}
