public import FoundationEssentials

/// The JSON of Muster: keys are sorted and slashes are not escaped, so that equal values have equal bytes.
public enum JSON {
  public static func encoder(pretty: Bool = false) -> JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = pretty ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
    return encoder
  }

  public static func encode(_ value: some Encodable, pretty: Bool = false) throws -> [UInt8] {
    Array(try encoder(pretty: pretty).encode(value))
  }

  /// - Throws: `DecodingError`; ``RangeError`` for a number that is out of its range; ``JSONRefusal`` for a string with more than 1,000
  ///   characters that are not ASCII or are written as `\u`. Comparing such strings takes time that grows with the square of the number of
  ///   combining marks, and no string of Muster is that long.
  public static func decode<T: Decodable>(_: T.Type, from bytes: some Sequence<UInt8>) throws -> T {
    let bytes = Array(bytes)
    try requireShortTexts(bytes)
    let value = try JSONDecoder().decode(T.self, from: Data(bytes))
    try (value as? any RangeChecked)?.checkRanges()
    return value
  }

  static func requireShortTexts(_ bytes: some Collection<UInt8>) throws {
    guard bytes.count > 1000 else { return }
    // The decoder would also accept UTF-16 and UTF-32, for which the scan below is wrong.
    let start = Array(bytes.prefix(4))
    guard !start.contains(0), !start.starts(with: [0xfe, 0xff]), !start.starts(with: [0xff, 0xfe]) else {
      throw JSONRefusal("JSON must be encoded in UTF-8")
    }
    var (isText, isEscaped, beyond) = (false, false, 0)
    for byte in bytes {
      if isEscaped {
        isEscaped = false
        if byte == UInt8(ascii: "u") { beyond += 1 }
      } else if byte == UInt8(ascii: "\"") {
        isText.toggle()
        beyond = 0
      } else if isText {
        isEscaped = byte == UInt8(ascii: "\\")
        // Counts characters, not bytes: the further bytes of a UTF-8 character are 10xxxxxx.
        if byte >= 0xc0 { beyond += 1 }
      }
      guard beyond <= 1000 else {
        throw JSONRefusal("a string has more than 1000 characters that are not ASCII or are written as \\u")
      }
    }
  }

  /// A decoding error in plain words: `cohort.size: expected a number`.
  ///
  /// Names and values in it come from the writer of the JSON, so it is shortened and has no control characters.
  ///
  /// - Parameter bytes: the JSON that was decoded.
  public static func explain(_ error: any Error, in bytes: some Sequence<UInt8>) -> String {
    explanation(error, bytes).shown(600)
  }

  private static func explanation(_ error: any Error, _ bytes: some Sequence<UInt8>) -> String {
    guard let error = error as? DecodingError else { return "\(error)" }
    if case .dataCorrupted(let context) = error, context.codingPath.isEmpty {
      if let fault = JSONFault(in: bytes) { return "\(fault)" }
      // The document is valid JSON. The only error that Foundation reports without a path is a number that does not fit its type.
      return "a number does not fit its field: it is too large, or a fraction instead of a whole number"
    }
    func at(_ context: DecodingError.Context, _ key: (any CodingKey)? = nil) -> String {
      var path = ""
      for part in context.codingPath + (key.map { [$0] } ?? []) {
        if let index = part.intValue { path += "[\(index)]" } else { path += path.isEmpty ? part.stringValue : ".\(part.stringValue)" }
      }
      return path.isEmpty ? "" : "\(path): "
    }
    switch error {
    case .keyNotFound(let key, let context): return "\(at(context, key))is missing"
    case .valueNotFound(_, let context): return "\(at(context))must not be null"
    case .typeMismatch(let type, let context): return "\(at(context))expected \(noun(type))"
    case .dataCorrupted(let context): return "\(at(context))\(context.debugDescription)"
    @unknown default: return "\(error)"
    }
  }

  private static func noun(_ type: any Any.Type) -> String {
    switch type {
    case is String.Type: "a string"
    case is Bool.Type: "true or false"
    case is Int.Type: "a whole number"
    case is UInt64.Type: "a whole number, 0 or more"
    case is Double.Type, is Float.Type: "a number"
    case is [String: Any].Type: "an object"
    default: "\(type)".hasPrefix("Array") ? "a list" : "\(type)".hasPrefix("Dictionary") ? "an object" : "\(type)"
    }
  }
}

/// A document that is refused for a reason that Foundation's decoder does not check.
package struct JSONRefusal: Error, Hashable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}
