extension String {
  /// The text with control characters replaced, safe for a log line or a terminal.
  package var withoutControlCharacters: String {
    String(String.UnicodeScalarView(unicodeScalars.map { $0.value < 0x20 || ($0.value >= 0x7f && $0.value < 0xa0) ? "\u{FFFD}" : $0 }))
  }
}

extension StringProtocol {
  /// At most so many bytes of it, without control characters: what others wrote, for a message or a log. Characters are no bound, one may be
  /// any number of bytes long.
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
