/// An identifier that is safe in a topic, a path and a file name: `[a-z0-9][a-z0-9-]{0,62}`.
///
/// An identifier cannot contain `/`, `+`, `#`, a dot or a control character, so it cannot be used to inject a topic level or a folder.
public protocol Identifier: RawRepresentable, Codable, CodingKeyRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible
where RawValue == String {
  /// The kind of thing that is identified, for messages: `task id`.
  static var noun: String { get }
  init(unchecked rawValue: String)
}

/// The reason why a string is not an identifier.
public struct IdentifierError: Error, Hashable, CustomStringConvertible {
  public let noun: String
  public let text: String

  public var description: String {
    return "\(noun) \"\(text.shown(80))\" must be 1 to 63 characters of a-z, 0-9 and -, and start with a letter or a digit"
  }
}

extension Identifier {
  public init?(rawValue: String) {
    guard isIdentifier(rawValue) else { return nil }
    self.init(unchecked: rawValue)
  }

  public init(validating text: some StringProtocol) throws(IdentifierError) {
    guard isIdentifier(String(text)) else { throw IdentifierError(noun: Self.noun, text: String(text)) }
    self.init(unchecked: String(text))
  }

  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    do {
      try self.init(validating: text)
    } catch {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: error.description))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }

  public var description: String { rawValue }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

private func isIdentifier(_ text: String) -> Bool {
  let bytes = text.utf8
  guard (1...63).contains(bytes.count), bytes.first != UInt8(ascii: "-") else { return false }
  return bytes.allSatisfy { byte in
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
      || byte == UInt8(ascii: "-")
  }
}
