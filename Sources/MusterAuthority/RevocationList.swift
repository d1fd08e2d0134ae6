internal import Crypto
internal import FoundationEssentials
package import MusterSchema
internal import SwiftASN1
internal import X509

/// The serial number of a certificate, as hexadecimal digits.
package struct SerialNumber: Hashable, Sendable, Codable, CustomStringConvertible {
  package let description: String

  init(_ bytes: ArraySlice<UInt8>) {
    description = bytes.map { byte in String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }.joined()
  }

  /// - Returns: `nil` unless the text is 1 to 20 bytes in lowercase hexadecimal.
  package init?(_ text: some StringProtocol) {
    guard (2...40).contains(text.utf8.count), text.utf8.count % 2 == 0,
      text.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
    else { return nil }
    description = String(text)
  }

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    var digits = description[...]
    while !digits.isEmpty {
      bytes.append(UInt8(digits.prefix(2), radix: 16) ?? 0)
      digits = digits.dropFirst(2)
    }
    return bytes
  }

  package init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let number = SerialNumber(text) else {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "must be 2 to 40 hexadecimal digits"))
    }
    self = number
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// A certificate that must no longer be accepted.
package struct Revocation: Hashable, Sendable {
  package var serial: SerialNumber
  package var at: WallTime

  package init(serial: SerialNumber, at: WallTime) {
    self.serial = serial
    self.at = at
  }
}

/// The structure TBSCertList of RFC 5280, section 5.1, version 2, with the extensions that the section requires. The certificate library
/// has no such type.
struct RevocationList {
  let issuer: DistinguishedName
  let authorityKey: Certificate.PublicKey
  let revoked: [Revocation]
  let number: Int

  func signed(with key: P256.Signing.PrivateKey) throws -> String {
    var content = DER.Serializer()
    try serialize(into: &content)
    let signature = try key.signature(for: content.serializedBytes)
    var list = DER.Serializer()
    try list.appendConstructedNode(identifier: .sequence) { list in
      list.serializeRawBytes(content.serializedBytes)
      try Self.algorithm(into: &list)
      try list.serialize(ASN1BitString(bytes: Array(signature.derRepresentation)[...]))
    }
    return PEMDocument(type: "X509 CRL", derBytes: list.serializedBytes).pemString + "\n"
  }

  private func serialize(into list: inout DER.Serializer) throws {
    try list.appendConstructedNode(identifier: .sequence) { list in
      // Version 2
      try list.serialize(1)
      try Self.algorithm(into: &list)
      try list.serialize(issuer)
      try list.serialize(UTCTime(.authorityBegin))
      try list.serialize(UTCTime(.authorityEnd))
      if !revoked.isEmpty {
        try list.appendConstructedNode(identifier: .sequence) { entries in
          for revocation in revoked {
            try entries.appendConstructedNode(identifier: .sequence) { entry in
              try entry.serialize(revocation.serial.bytes[...])
              try entry.serialize(UTCTime(min(revocation.at.date, .authorityEnd)))
            }
          }
        }
      }
      try list.serialize(explicitlyTaggedWithTagNumber: 0, tagClass: .contextSpecific) { list in
        try list.appendConstructedNode(identifier: .sequence) { extensions in
          let identifier = AuthorityKeyIdentifier(keyIdentifier: SubjectKeyIdentifier(hash: authorityKey).keyIdentifier)
          try extensions.serialize(try Certificate.Extension(identifier, critical: false))
          var value = DER.Serializer()
          try value.serialize(number)
          try extensions.serialize(
            Certificate.Extension(oid: Self.crlNumber, critical: false, value: value.serializedBytes[...]))
        }
      }
    }
  }

  /// ecdsa-with-SHA256 (RFC 5758)
  private static func algorithm(into coder: inout DER.Serializer) throws {
    try coder.appendConstructedNode(identifier: .sequence) { try $0.serialize(ecdsaWithSHA256) }
  }

  private static let ecdsaWithSHA256: ASN1ObjectIdentifier = [1, 2, 840, 10045, 4, 3, 2]
  private static let crlNumber: ASN1ObjectIdentifier = [2, 5, 29, 20]
}

extension UTCTime {
  /// A time between 1970 and 2049, to the second.
  fileprivate init(_ date: Date) throws {
    // 2026-11-29T00:59:40.123Z
    let text = WallTime(date).description
    func part(_ start: Int, _ count: Int) -> Int { Int(text.dropFirst(start).prefix(count)) ?? 0 }
    try self.init(
      year: part(0, 4), month: part(5, 2), day: part(8, 2), hours: part(11, 2), minutes: part(14, 2), seconds: part(17, 2))
  }
}
