internal import Crypto
internal import FoundationEssentials

/// The SHA-256 of a blob, written as `sha256:` followed by 64 hexadecimal digits.
public struct Digest: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
  /// 64 lowercase hexadecimal digits.
  public let hexadecimal: String

  /// Reads `sha256:…` or the 64 digits alone; `nil` for anything else.
  public init?(_ text: some StringProtocol) {
    let digits = text.hasPrefix("sha256:") ? text.dropFirst(7) : text[...]
    guard digits.utf8.count == 64, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else { return nil }
    hexadecimal = String(digits)
  }

  /// The digest of these bytes.
  public init(of bytes: some Sequence<UInt8>) {
    var hasher = Hasher()
    hasher.update(Array(bytes))
    self = hasher.finish()
  }

  fileprivate init(hash: some Sequence<UInt8>) { hexadecimal = hash.hexadecimal }

  public var description: String { "sha256:\(hexadecimal)" }

  /// The value of an RFC 9530 `Content-Digest` field: `sha-256=:…:`.
  public var contentDigest: String { "sha-256=:\(Data(bytes).base64EncodedString()):" }

  /// The 32 bytes.
  package var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(32)
    var digits = hexadecimal.utf8.makeIterator()
    while let high = digits.next(), let low = digits.next() { bytes.append(nibble(high) << 4 | nibble(low)) }
    return bytes
  }

  /// The digest with these 32 bytes; `nil` for another number of bytes.
  package init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 32 else { return nil }
    self.init(hash: bytes)
  }

  /// Reads an RFC 9530 `Content-Digest` field; `nil` if it has no SHA-256.
  public init?(contentDigest field: String) {
    for member in field.split(separator: ",") {
      let text = member.trimmed
      guard text.hasPrefix("sha-256=:"), text.hasSuffix(":"), let bytes = Data(base64Encoded: String(text.dropFirst(9).dropLast())) else {
        continue
      }
      guard bytes.count == 32 else { return nil }
      self.init(hash: bytes)
      return
    }
    return nil
  }

  public static func < (left: Self, right: Self) -> Bool { left.hexadecimal < right.hexadecimal }

  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let digest = Digest(text) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "must be sha256: followed by 64 lowercase hexadecimal digits"))
    }
    self = digest
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension Digest {
  /// SHA-256 in steps, for bodies that arrive in chunks.
  public struct Hasher: Sendable {
    private var hash = SHA256()

    public init() {}
    public mutating func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bufferPointer: bytes) }
    public mutating func update(_ bytes: [UInt8]) { hash.update(data: bytes) }
    public func finish() -> Digest { Digest(hash: hash.finalize()) }
  }
}

private func nibble(_ digit: UInt8) -> UInt8 { digit < 0x40 ? digit - 0x30 : digit - 0x57 }

extension Sequence<UInt8> {
  var hexadecimal: String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in self {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}
