internal import Crypto
package import MusterSchema

package import struct MusterSchema.Digest

/// The id of an enrolment token, which is not secret.
package struct TokenID: Identifier {
  package static var noun: String { "token id" }
  package let rawValue: String
  package init(unchecked rawValue: String) { self.rawValue = rawValue }
}

/// The string that makes a machine a member: where to enrol, which server authority to expect there, and a secret.
///
///     muster1.ID.ENTRY.AUTHORITY.SECRET
///
/// ENTRY (an `https` address), AUTHORITY (the SHA-256 of the server authority's certificate) and SECRET (16 bytes) are in base64url.
/// Because the token names the authority, a machine cannot be led to a false entry. The secret itself is never sent: a request carries an
/// HMAC of its body, and central stores only the HMAC's key. So a region that relays a request can neither change it nor use the token for
/// another.
package struct EnrolmentToken: Hashable, Sendable {
  package let id: TokenID
  package let entry: ServerAddress
  /// The SHA-256 of the server authority's certificate in DER.
  package let authority: Digest
  private let secret: [UInt8]

  package static let prefix = "muster1"
  /// Longer strings are refused before they are parsed.
  package static let maximumBytes = 1024
  package static let secretBytes = 16

  /// - Parameter secret: 16 random bytes.
  package init(id: TokenID, entry: ServerAddress, authority: Digest, secret: [UInt8]) {
    precondition(secret.count == Self.secretBytes, "a secret of \(secret.count) bytes")
    self.id = id
    self.entry = entry
    self.authority = authority
    self.secret = secret
  }

  package init(parsing text: some StringProtocol) throws(EnrolmentTokenError) {
    guard text.utf8.count <= Self.maximumBytes else { throw .malformed("it is longer than \(Self.maximumBytes) bytes") }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard let version = parts.first, version.hasPrefix("muster") else { throw .malformed("it does not begin with \(Self.prefix).") }
    guard version == Self.prefix else { throw .newerVersion(version.shown(20)) }
    guard parts.count == 5 else { throw .malformed("it has \(parts.count) parts instead of 5: was it copied completely?") }
    do { id = try TokenID(validating: parts[1]) } catch { throw .malformed("\(error)") }
    guard let entry = Base64URL.decode(parts[2]) else { throw .malformed("its address is not base64url") }
    do { self.entry = try ServerAddress(base: String(decoding: entry, as: UTF8.self)) } catch { throw .malformed("\(error)") }
    guard self.entry.isTLS else { throw .malformed("its address \(self.entry) does not begin with https://") }
    guard let digest = Base64URL.decode(parts[3]).flatMap({ Digest(bytes: $0) }) else { throw .malformed("its authority is not a SHA-256") }
    authority = digest
    guard let secret = Base64URL.decode(parts[4]), secret.count == Self.secretBytes else {
      throw .malformed("its secret does not have \(Self.secretBytes) bytes: was it copied completely?")
    }
    self.secret = secret
  }

  /// The whole token with its secret, to be shown once.
  package var text: String {
    let entry = Base64URL.encode("\(entry)".utf8)
    return "\(Self.prefix).\(id).\(entry).\(Base64URL.encode(authority.bytes)).\(Base64URL.encode(secret))"
  }

  /// The key of the HMAC, which central stores.
  package var key: TokenKey { TokenKey(of: secret) }
}

extension EnrolmentToken: CustomStringConvertible {
  package var description: String { "\(Self.prefix).\(id).•••" }
}

/// SHA-256 of a token's secret: with it central checks that a request was made with the token.
package struct TokenKey: Hashable, Sendable {
  private let bytes: [UInt8]

  init(of secret: [UInt8]) { bytes = Array(SHA256.hash(data: secret)) }

  /// - Parameter digest: what ``digest`` returned.
  package init(_ digest: Digest) { bytes = digest.bytes }

  /// The key in the form in which central stores it.
  package var digest: Digest { Digest(bytes: bytes) ?? Digest(of: bytes) }

  /// HMAC-SHA256 (RFC 2104) of a request's body.
  package func authentication(of body: [UInt8]) -> [UInt8] {
    Array(HMAC<SHA256>.authenticationCode(for: body, using: SymmetricKey(data: bytes)))
  }

  /// Compares in constant time.
  package func authenticates(_ body: [UInt8], with code: [UInt8]) -> Bool {
    HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: body, using: SymmetricKey(data: bytes))
  }
}

extension TokenKey: CustomStringConvertible {
  package var description: String { "token key" }
}

/// The reason why a string is not an enrolment token. It never contains the token.
package enum EnrolmentTokenError: Error, Hashable, Sendable, CustomStringConvertible {
  case malformed(String)
  case newerVersion(String)

  package var description: String {
    switch self {
    case .malformed(let why): "this is not an enrolment token: \(why)"
    case .newerVersion(let version): "this token is of a newer kind (\(version)): update this program"
    }
  }
}
