package import MusterSchema

extension String {
  /// The string without control characters, shortened to at most `bytes` bytes of JSON, so that several of them fit in one message. The middle
  /// of a longer string is replaced by an ellipsis: error messages say what failed at the beginning and the cause at the end.
  package func brief(_ bytes: Int = 280) -> String {
    let text = withoutControlCharacters
    guard text.unicodeScalars.reduce(0, { $0 + $1.bytesInJSON }) > bytes else { return text }
    let mark = " … "
    let end = (bytes - mark.utf8.count) * 2 / 3
    let start = String(String.UnicodeScalarView(Self.fitting(text.unicodeScalars, bytes - mark.utf8.count - end)))
    return start + mark + String(String.UnicodeScalarView(Self.fitting(text.unicodeScalars.reversed(), end).reversed()))
  }

  private static func fitting(_ scalars: some Sequence<Unicode.Scalar>, _ bytes: Int) -> [Unicode.Scalar] {
    var left = bytes
    return Array(
      scalars.prefix { scalar in
        left -= scalar.bytesInJSON
        return left >= 0
      })
  }
}

extension Waiting {
  /// Approximate size in a message.
  package var bytesInJSON: Int { [node, reason].reduce(40) { $0 + $1.unicodeScalars.reduce(0) { $0 + $1.bytesInJSON } } }
}

extension Unicode.Scalar {
  fileprivate var bytesInJSON: Int { self == "\"" || self == "\\" ? 2 : UTF8.width(self) }
}
