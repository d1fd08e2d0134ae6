/// The first syntax error of a JSON document (RFC 8259) and its position: `invalid JSON, line 3, column 7: expected "," or "}", found "x"`.
///
/// Foundation's decoder only says that the document is not valid.
package struct JSONFault: Error, Hashable, CustomStringConvertible {
  package var line: Int
  /// Counted in bytes, starting at 1.
  package var column: Int
  /// Path of the value with the error: `metrics.loss`, `[2].name`; empty for the document itself.
  package var place: String
  private var what: String
  /// The value is `NaN` or `Infinity`, which some JSON writers produce, Python's among them.
  package var isNonFinite: Bool

  package var description: String { isNonFinite ? what : "invalid JSON, line \(line), column \(column): \(what)" }

  /// - Returns: `nil` for a valid document.
  package init?(in bytes: some Sequence<UInt8>) {
    var reader = JSONReader(bytes: Array(bytes))
    guard let found = reader.fault() else { return nil }
    let before = reader.bytes[..<reader.at]
    line = before.count { $0 == UInt8(ascii: "\n") } + 1
    column = reader.at - (before.lastIndex(of: UInt8(ascii: "\n")) ?? -1)
    place = reader.place.shown(200)
    isNonFinite = found == .nonFinite
    switch found {
    case .ended: what = reader.at == 0 ? "the document is empty" : "the document ends too early"
    case .nonFinite: what = "\(place.isEmpty ? "the value" : place) is not a finite number, but JSON allows only finite numbers"
    case .expected(let expected): what = "expected \(expected)" + (reader.next.map { ", found \($0)" } ?? "")
    case .deep: what = "nested deeper than \(JSONReader.maximumDepth) levels"
    }
  }
}

/// A JSON parser that keeps only its position and path.
private struct JSONReader {
  enum Found: Error, Hashable {
    case ended, nonFinite
    case expected(String)
    case deep
  }

  /// Limit of nesting: the parser is recursive, and the document comes from outside.
  static let maximumDepth = 512

  let bytes: [UInt8]
  private(set) var at = 0
  private var path: [String] = []

  init(bytes: [UInt8]) { self.bytes = bytes }

  mutating func fault() -> Found? {
    do throws(Found) {
      try value()
      skipSpace()
      if at < bytes.count { throw .expected("nothing more") }
      return nil
    } catch {
      return error
    }
  }

  var place: String { path.reduce("") { $1.hasPrefix("[") || $0.isEmpty ? $0 + $1 : "\($0).\($1)" } }

  /// The word or character at the position of the error.
  var next: String? {
    guard at < bytes.count else { return nil }
    let word = String(decoding: bytes[at...].prefix(40), as: UTF8.self).prefix { !$0.isWhitespace && !",:]}".contains($0) }
    return word.isEmpty ? "\"\(Character(Unicode.Scalar(bytes[at])))\"" : "\"\(String(word).shown(30))\""
  }

  private mutating func skipSpace() { while let byte = peek, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { at += 1 } }
  private var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard peek == UInt8(ascii: character) else { return false }
    at += 1
    return true
  }

  private mutating func value() throws(Found) {
    skipSpace()
    guard let byte = peek else { throw .ended }
    switch byte {
    case UInt8(ascii: "{"): try object()
    case UInt8(ascii: "["): try array()
    case UInt8(ascii: "\""): _ = try text()
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
    default:
      let word = bytes[at...].prefix(9).prefix { ($0 | 0x20) >= UInt8(ascii: "a") && ($0 | 0x20) <= UInt8(ascii: "z") }
      let name = String(decoding: word, as: UTF8.self)
      if ["true", "false", "null"].contains(name) {
        at += word.count
      } else {
        throw ["nan", "inf", "infinity"].contains(name.lowercased()) ? .nonFinite : .expected("a value")
      }
    }
  }

  private mutating func number() throws(Found) {
    _ = take("-")
    if let byte = peek, [UInt8(ascii: "I"), UInt8(ascii: "i")].contains(byte) { throw .nonFinite }
    if !take("0") { try digits() }
    if take(".") { try digits() }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      try digits()
    }
  }

  private mutating func digits() throws(Found) {
    guard let first = peek else { throw .ended }
    guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { throw .expected("a digit") }
    while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { at += 1 }
  }

  /// - Returns: the characters between the quotation marks, escapes included.
  private mutating func text() throws(Found) -> String {
    at += 1
    let start = at
    while let byte = peek {
      switch byte {
      case UInt8(ascii: "\""):
        at += 1
        return String(decoding: bytes[start..<at - 1], as: UTF8.self)
      case UInt8(ascii: "\\"): try escape()
      case ..<0x20: throw .expected("a quotation mark before the end of the line")
      default: at += 1
      }
    }
    at = bytes.count
    throw .ended
  }

  /// `\n` and its like, or `\u` with four hexadecimal digits. Surrogates must come in pairs (RFC 8259, section 7).
  private mutating func escape() throws(Found) {
    at += 1
    guard let letter = peek else { throw .ended }
    guard letter == UInt8(ascii: "u") else {
      guard "\"\\/bfnrt".utf8.contains(letter) else { throw .expected("one of \" \\ / b f n r t u after the backslash") }
      at += 1
      return
    }
    let start = at
    let unit = try codeUnit()
    guard UTF16.isSurrogate(unit) else { return }
    guard UTF16.isLeadSurrogate(unit), take("\\"), peek == UInt8(ascii: "u"), UTF16.isTrailSurrogate(try codeUnit()) else {
      at = start
      throw .expected("both halves of a surrogate pair")
    }
  }

  /// Reads `u` and its four digits.
  private mutating func codeUnit() throws(Found) -> UInt16 {
    at += 1
    var unit: UInt16 = 0
    for _ in 0..<4 {
      guard let byte = peek else { throw .ended }
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw .expected("a hexadecimal digit") }
      unit = unit << 4 | UInt16(digit)
      at += 1
    }
    return unit
  }

  private mutating func object() throws(Found) {
    try enter()
    skipSpace()
    if take("}") { return }
    repeat {
      skipSpace()
      guard let byte = peek else { throw .ended }
      guard byte == UInt8(ascii: "\"") else { throw .expected("a name in quotation marks") }
      path.append(try text())
      skipSpace()
      guard take(":") else { throw peek == nil ? .ended : .expected("\":\"") }
      try value()
      path.removeLast()
      skipSpace()
    } while take(",")
    guard take("}") else { throw peek == nil ? .ended : .expected("\",\" or \"}\"") }
  }

  private mutating func array() throws(Found) {
    try enter()
    skipSpace()
    if take("]") { return }
    var index = 0
    repeat {
      path.append("[\(index)]")
      try value()
      path.removeLast()
      index += 1
      skipSpace()
    } while take(",")
    guard take("]") else { throw peek == nil ? .ended : .expected("\",\" or \"]\"") }
  }

  private mutating func enter() throws(Found) {
    guard path.count < Self.maximumDepth else { throw .deep }
    at += 1
  }
}
