extension String {
  /// The string with its control characters replaced, safe for a log line or a terminal.
  package var withoutControlCharacters: String {
    String(String.UnicodeScalarView(unicodeScalars.map { $0.value < 0x20 || ($0.value >= 0x7f && $0.value < 0xa0) ? "\u{FFFD}" : $0 }))
  }
}

extension StringProtocol {
  /// At most `limit` bytes of a string from outside, without control characters, for a message or a log.
  ///
  /// Characters would not bound the size, because one can have any number of bytes.
  package func shown(_ limit: Int) -> String {
    guard utf8.count > limit else { return String(self).withoutControlCharacters }
    var short = ""
    for scalar in unicodeScalars {
      guard short.utf8.count + scalar.utf8.count <= limit else { break }
      short.unicodeScalars.append(scalar)
    }
    return short.withoutControlCharacters + "…"
  }
}
