internal import Crypto
internal import FoundationEssentials

/// The public key that verifies a statement's signature: `ed25519:…` of central's statement keys, or `p256:…` of the server authority.
package enum StatementKey: Hashable, Sendable {
  /// 32 bytes (RFC 8032).
  case ed25519([UInt8])
  /// An uncompressed point: 65 bytes (SEC 1, section 2.3.3).
  case p256([UInt8])

  /// The first bytes of the key's SHA-256. It says which key to try, and proves nothing.
  package var id: KeyID {
    switch self {
    case .ed25519(let bytes), .p256(let bytes): KeyID(Digest(of: bytes))
    }
  }

  /// - Parameter signature: 64 bytes.
  package func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
    do {
      switch self {
      case .ed25519(let bytes):
        return try Curve25519.Signing.PublicKey(rawRepresentation: bytes).isValidSignature(signature, for: message)
      case .p256(let bytes):
        return try P256.Signing.PublicKey(x963Representation: bytes)
          .isValidSignature(P256.Signing.ECDSASignature(rawRepresentation: signature), for: message)
      }
    } catch {
      // Not a point of the curve, or not a signature of the right length.
      return false
    }
  }
}

extension StatementKey: CustomStringConvertible {
  package var description: String {
    switch self {
    case .ed25519(let bytes): "ed25519:\(Base64URL.encode(bytes))"
    case .p256(let bytes): "p256:\(Base64URL.encode(bytes))"
    }
  }

  package init?(_ text: some StringProtocol) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let bytes = Base64URL.decode(parts[1]) else { return nil }
    switch (parts[0], bytes.count) {
    case ("ed25519", 32): self = .ed25519(bytes)
    case ("p256", 65): self = .p256(bytes)
    default: return nil
    }
  }
}

extension StatementKey: Codable {
  package init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let key = StatementKey(text) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "must be ed25519: or p256: followed by the key in base64url"))
    }
    self = key
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// Eight hexadecimal digits that name a ``StatementKey``.
package struct KeyID: Hashable, Sendable, CustomStringConvertible {
  package let description: String

  init(_ digest: Digest) { description = String(digest.hexadecimal.prefix(8)) }

  package init?(_ text: some StringProtocol) {
    guard text.utf8.count == 8, text.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else { return nil }
    description = String(text)
  }
}

/// The private key that signs statements. Its bytes are in one file, and never logged.
package struct SigningKey: Sendable {
  private enum Kind: Sendable {
    case ed25519(Curve25519.Signing.PrivateKey)
    case p256(P256.Signing.PrivateKey)
  }

  private let kind: Kind
  package let key: StatementKey

  /// A new Ed25519 key.
  package init() { self.init(Curve25519.Signing.PrivateKey()) }

  /// The Ed25519 key with these 32 bytes; `nil` for another number of bytes.
  package init?(ed25519 bytes: [UInt8]) {
    // The only possible error is a wrong length, and `nil` says so.
    guard bytes.count == 32, let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: bytes) else { return nil }
    self.init(key)
  }

  /// The P-256 key with these 32 bytes; `nil` if they are not a key of the curve.
  package init?(p256 bytes: [UInt8]) {
    // Every error means the same: the bytes are not a key. The caller knows where they are from, and reports it.
    guard let key = try? P256.Signing.PrivateKey(rawRepresentation: bytes) else { return nil }
    kind = .p256(key)
    self.key = .p256(Array(key.publicKey.x963Representation))
  }

  private init(_ key: Curve25519.Signing.PrivateKey) {
    kind = .ed25519(key)
    self.key = .ed25519(Array(key.publicKey.rawRepresentation))
  }

  /// The 32 bytes of the private key.
  package var bytes: [UInt8] {
    switch kind {
    case .ed25519(let key): Array(key.rawRepresentation)
    case .p256(let key): Array(key.rawRepresentation)
    }
  }

  /// A signature of 64 bytes: RFC 8032, or ECDSA with SHA-256 as r followed by s.
  package func sign(_ message: [UInt8]) throws -> [UInt8] {
    switch kind {
    case .ed25519(let key): Array(try key.signature(for: message))
    case .p256(let key): Array(try key.signature(for: message).rawRepresentation)
    }
  }
}

extension SigningKey: CustomStringConvertible {
  package var description: String { "signing key \(key.id)" }
}
