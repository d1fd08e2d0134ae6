internal import Crypto
package import MusterSchema

package import struct MusterSchema.Digest

/// The P-256 key of a member's certificate. It is made on the member's machine and never leaves it.
package struct MemberKey: Sendable {
  private let key: P256.Signing.PrivateKey

  /// A new key.
  package init() { key = P256.Signing.PrivateKey() }

  /// - Throws: ``IdentityError/malformed(_:)`` for anything but a P-256 key in PEM.
  package init(pem: String) throws(IdentityError) {
    do { key = try P256.Signing.PrivateKey(pemRepresentation: pem) } catch { throw .malformed("is not a P-256 key in PEM") }
  }

  /// The private key in PEM (PKCS #8).
  package var pem: String { key.pemRepresentation + "\n" }

  /// The SHA-256 of the public key as a SubjectPublicKeyInfo. People compare it before they accept a device.
  package var fingerprint: Digest { Digest(of: key.publicKey.derRepresentation) }

  /// A certificate request (PKCS #10, RFC 2986) in PEM. It names nothing but the key: central takes no name from a request.
  package func certificateRequest() throws -> String {
    let subject = DER.sequence(DER.set(DER.sequence(DER.commonName, DER.string("muster"))))
    let info = DER.sequence(DER.zero, subject, Array(key.publicKey.derRepresentation), DER.noAttributes)
    let signature = Array(try key.signature(for: info).derRepresentation)
    return PEM.encode("CERTIFICATE REQUEST", DER.sequence(info, DER.sequence(DER.ecdsaWithSHA256), DER.bitString(signature)))
  }
}

extension MemberKey: CustomStringConvertible {
  package var description: String { "member key \(fingerprint)" }
}
