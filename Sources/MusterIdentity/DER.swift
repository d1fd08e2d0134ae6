/// Writes the few structures of DER (ITU-T X.690) that a certificate request consists of.
///
/// The agent does this itself, because a library for certificates would make it larger than this whole room.
enum DER {
  static func sequence(_ elements: [UInt8]...) -> [UInt8] { value(0x30, elements) }
  static func set(_ elements: [UInt8]...) -> [UInt8] { value(0x31, elements) }
  static func string(_ text: String) -> [UInt8] { value(0x0c, [Array(text.utf8)]) }
  /// A string of whole bytes.
  static func bitString(_ bytes: [UInt8]) -> [UInt8] { value(0x03, [[0], bytes]) }
  static let zero: [UInt8] = [0x02, 1, 0]
  /// An empty set with the context-specific tag 0.
  static let noAttributes: [UInt8] = [0xa0, 0]

  /// 2.5.4.3 (X.520)
  static let commonName: [UInt8] = [0x06, 3, 0x55, 0x04, 0x03]
  /// 1.2.840.10045.4.3.2 (RFC 5758)
  static let ecdsaWithSHA256: [UInt8] = [0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]
  /// `id-ecPublicKey` with `prime256v1` (RFC 5480)
  static let p256Algorithm: [UInt8] = [
    0x30, 0x13, 0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
  ]

  private static func value(_ tag: UInt8, _ elements: [[UInt8]]) -> [UInt8] {
    let content = elements.flatMap(\.self)
    return [tag] + length(content.count) + content
  }

  private static func length(_ count: Int) -> [UInt8] {
    guard count > 0x7f else { return [UInt8(count)] }
    var bytes: [UInt8] = []
    var rest = count
    while rest > 0 {
      bytes.insert(UInt8(rest & 0xff), at: 0)
      rest >>= 8
    }
    return [0x80 | UInt8(bytes.count)] + bytes
  }
}

/// Reads values in DER one after the other.
struct DERReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

  /// The P-256 key of a certificate (RFC 5280, section 4.1) as an uncompressed point; `nil` for anything else.
  static func p256Key(ofCertificate certificate: [UInt8]) -> [UInt8]? {
    var outer = DERReader(certificate[...])
    guard let content = outer.next(0x30), outer.rest.isEmpty else { return nil }
    var parts = DERReader(content)
    guard let signed = parts.next(0x30) else { return nil }
    var fields = DERReader(signed)
    // version, serialNumber, signature, issuer, validity, subject
    for tag: UInt8 in [0xa0, 0x02, 0x30, 0x30, 0x30, 0x30] where fields.next(tag) == nil { return nil }
    guard let info = fields.next(0x30), info.starts(with: DER.p256Algorithm) else { return nil }
    var key = DERReader(info.dropFirst(DER.p256Algorithm.count))
    guard let bits = key.next(0x03), key.rest.isEmpty, bits.count == 66, bits.first == 0 else { return nil }
    return Array(bits.dropFirst())
  }

  /// The content of the next value; `nil` if it has another tag or does not fit.
  private mutating func next(_ tag: UInt8) -> ArraySlice<UInt8>? {
    guard rest.popFirst() == tag, let first = rest.popFirst() else { return nil }
    var count = Int(first)
    if first >= 0x80 {
      guard (1...3).contains(first & 0x7f) else { return nil }
      count = 0
      for _ in 0..<(first & 0x7f) {
        guard let byte = rest.popFirst() else { return nil }
        count = count << 8 | Int(byte)
      }
    }
    guard count <= rest.count else { return nil }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }
}
