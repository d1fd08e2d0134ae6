public import FoundationEssentials

/// The JSON dialect of Muster: sorted keys, slashes unescaped, so that the same value is always the same bytes.
public enum JSON {
  public static func encoder(pretty: Bool = false) -> JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = pretty ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
    return encoder
  }

  public static func encode(_ value: some Encodable, pretty: Bool = false) throws -> [UInt8] {
    Array(try encoder(pretty: pretty).encode(value))
  }

  /// - Throws: `DecodingError`; ``JSONRefusal`` for a text with more than 1,000 letters beyond ASCII: to compare one takes time that grows with the square
  ///   of its combining marks, and nothing of ours is that long. ``RangeError`` for a number that is out of its range.
  public static func decode<T: Decodable>(_: T.Type, from bytes: some Sequence<UInt8>) throws -> T {
    let bytes = Array(bytes)
    try requireShortTexts(bytes)
    let value = try JSONDecoder().decode(T.self, from: Data(bytes))
    try (value as? any RangeChecked)?.checkRanges()
    return value
  }

  static func requireShortTexts(_ bytes: some Collection<UInt8>) throws {
    guard bytes.count > 1000 else { return }
    // The decoder would also take UTF-16 and UTF-32, in which nothing below is true.
    let start = Array(bytes.prefix(4))
    guard !start.contains(0), !start.starts(with: [0xfe, 0xff]), !start.starts(with: [0xff, 0xfe]) else {
      throw JSONRefusal("JSON is written in UTF-8")
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
        // Letters, not bytes: those that follow the first of a letter are 10xxxxxx.
        if byte >= 0xc0 { beyond += 1 }
      }
      guard beyond <= 1000 else {
        throw JSONRefusal("a text has more than 1000 letters beyond ASCII")
      }
    }
  }

  /// A decoding error as a person would say it: `cohort.size: expected a number`. Names and values in it come from whoever wrote the JSON: it is
  /// short, and without control characters.
  ///
  /// - Parameter bytes: what was decoded.
  public static func explain(_ error: any Error, in bytes: some Sequence<UInt8>) -> String {
    explanation(error, bytes).shown(600)
  }

  private static func explanation(_ error: any Error, _ bytes: some Sequence<UInt8>) -> String {
    guard let error = error as? DecodingError else { return "\(error)" }
    if case .dataCorrupted(let context) = error, context.codingPath.isEmpty {
      if let fault = JSONFault(in: bytes) { return "\(fault)" }
      // The document is valid JSON. The only error that Foundation reports without a path is a number that its field cannot hold.
      return "a number does not fit its field: it is too large, or a fraction where a whole number is expected"
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
    case is String.Type: "a text"
    case is Bool.Type: "true or false"
    case is Int.Type: "a whole number"
    case is UInt64.Type: "a whole number, 0 or more"
    case is Double.Type, is Float.Type: "a number"
    case is [String: Any].Type: "an object"
    default: "\(type)".hasPrefix("Array") ? "a list" : "\(type)".hasPrefix("Dictionary") ? "an object" : "\(type)"
    }
  }
}

/// A valid document that is refused for a reason that is not Foundation's.
package struct JSONRefusal: Error, Hashable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}
