internal import Crypto
internal import FoundationEssentials
package import MusterSchema
internal import SwiftASN1
internal import X509

package import struct MusterSchema.Digest

/// The public key of a certificate request whose signature was checked. Nothing else of a request is used: no name, no extension.
package struct RequestedKey: Hashable, Sendable {
  /// Longer requests are refused before they are parsed.
  package static let maximumBytes = 8 << 10

  let key: P256.Signing.PublicKey
  /// The SHA-256 of the key as a SubjectPublicKeyInfo.
  package let fingerprint: Digest

  /// - Parameter request: a certificate request (PKCS #10, RFC 2986) in PEM.
  /// - Throws: ``AuthorityError/malformed(_:)`` for anything but a request of a P-256 key that the same key signed.
  package init(request: String) throws(AuthorityError) {
    guard request.utf8.count <= Self.maximumBytes else {
      throw .malformed("the certificate request is larger than \(Self.maximumBytes) bytes")
    }
    let parsed: CertificateSigningRequest
    do {
      parsed = try CertificateSigningRequest(pemEncoded: request)
    } catch {
      throw .malformed("the certificate request is not valid: \("\(error)".shown(200))")
    }
    guard let key = P256.Signing.PublicKey(parsed.publicKey) else { throw .malformed("the certificate request has no P-256 key") }
    // The parser does not check this. Without the check, a machine could get a certificate for a key that it does not have.
    guard parsed.publicKey.isValidSignature(parsed.signature, for: parsed) else {
      throw .malformed("the certificate request is not signed with its own key")
    }
    self.init(key)
  }

  init(_ key: P256.Signing.PublicKey) {
    self.key = key
    fingerprint = Digest(of: key.derRepresentation)
  }

  package static func == (left: Self, right: Self) -> Bool { left.fingerprint == right.fingerprint }
  package func hash(into hasher: inout Hasher) { hasher.combine(fingerprint) }
}
