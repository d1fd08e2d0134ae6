/// A line of JSON whose last member is a signature of everything before it:
///
///     {"kind":"order",…,"signature":"KEY.SIGNATURE"}
///
/// KEY is the signer's ``KeyID``. SIGNATURE is 64 bytes in base64url. The signed bytes are `muster-sig/1 KIND LENGTH `, followed by the
/// line without that member: `{"kind":"order",…}`. LENGTH is the length of that line in bytes.
///
/// The exact bytes are signed. A signature over the decoded values would need a canonical form of JSON, and two programs could differ in it.
/// The line also stays readable for people. KIND is what the reader expects and not what the line says, so a statement of one kind cannot
/// pass as another (as in DSSE, whose payload type is signed too). Only the signed bytes are decoded.
package struct SignedLine: Hashable, Sendable {
  /// The line without its signature.
  package let body: [UInt8]
  package let key: KeyID
  package let signature: [UInt8]

  /// The bytes that a signature adds to a line.
  package static let signatureBytes = member.utf8.count + 8 + 1 + 86 + 2 - 1

  private static let member = #","signature":""#

  /// - Throws: ``StatementError/unsigned`` if the line does not end with a signature, ``StatementError/signedTwice`` if there is another one
  ///   before that.
  package init(parsing line: some Collection<UInt8>) throws(StatementError) {
    guard line.count <= MessageCoder.maximumBytes else { throw .message(.tooLarge(bytes: line.count)) }
    guard let signed = SignedLine(splitting: Array(line)) else { throw .unsigned }
    guard SignedLine(splitting: signed.body) == nil else { throw .signedTwice }
    self = signed
  }

  private init?(splitting line: [UInt8]) {
    let start = line.count - Self.signatureBytes - 1
    guard start > 1, line[start...].starts(with: Self.member.utf8), line.suffix(2).elementsEqual("\"}".utf8) else { return nil }
    let value = String(decoding: line[(start + Self.member.utf8.count)..<(line.count - 2)], as: UTF8.self)
    let parts = value.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let key = KeyID(parts[0]), let signature = Base64URL.decode(parts[1]), signature.count == 64 else { return nil }
    self.init(body: line[..<start] + [UInt8(ascii: "}")], key: key, signature: signature)
  }

  private init(body: [UInt8], key: KeyID, signature: [UInt8]) {
    self.body = body
    self.key = key
    self.signature = signature
  }

  /// Signs a line of JSON, which is an object with at least one member.
  package static func signing(_ body: [UInt8], kind: String, with key: SigningKey) throws -> SignedLine {
    SignedLine(body: body, key: key.key.id, signature: try key.sign(signedBytes(body, kind)))
  }

  package var bytes: [UInt8] {
    body.dropLast() + Array("\(Self.member)\(key).\(Base64URL.encode(signature))\"}".utf8)
  }

  package func isSigned(by key: StatementKey, kind: String) -> Bool {
    key.id == self.key && key.verifies(signature, of: Self.signedBytes(body, kind))
  }

  private static func signedBytes(_ body: [UInt8], _ kind: String) -> [UInt8] { Array("muster-sig/1 \(kind) \(body.count) ".utf8) + body }
}

/// The reason why a line is not a statement that this program trusts.
package enum StatementError: Error, Hashable, Sendable, CustomStringConvertible {
  case unsigned
  case signedTwice
  /// No trusted key has this id.
  case unknownKey(KeyID)
  /// The key may not sign statements of this kind.
  case notAllowed(KeyID, kind: String)
  case wrongSignature(KeyID)
  case message(MessageError)

  package var description: String {
    switch self {
    case .unsigned: "the line is not signed"
    case .signedTwice: "the line has two signatures"
    case .unknownKey(let id): "the line is signed with key \(id), which is not trusted"
    case .notAllowed(let id, let kind): "the line is signed with key \(id), which may not sign statements of kind \"\(kind)\""
    case .wrongSignature(let id): "the signature is wrong: the line was altered, or not signed with key \(id)"
    case .message(let error): "\(error)"
    }
  }
}
