/// What a `Range` header asks of a file.
///
/// RFC 9110, section 14. Several ranges at once are answered with the whole file, which the RFC allows.
package enum ByteRange: Hashable, Sendable {
  case whole
  case part(Range<Int>)
  case unsatisfiable

  /// - Parameters:
  ///   - field: the header; nil: none.
  ///   - size: of the file, bytes.
  package init(_ field: String?, size: Int) {
    self = .whole
    // Bytes, not characters: a letter with an accent behind it is another character, but no other byte.
    guard let bytes = field.map({ Array($0.utf8) }), bytes.count > 6, Array("bytes=".utf8) == bytes.prefix(6).map(lowercased) else {
      return
    }
    let text = bytes.dropFirst(6).filter { $0 != 0x20 && $0 != 0x09 }
    guard let dash = text.firstIndex(of: UInt8(ascii: "-")) else { return }
    guard let first = Self.number(text[..<dash]), let last = Self.number(text[(dash + 1)...]) else { return }
    switch (first, last) {
    case (nil, nil): return
    case (nil, let count?): self = min(count, size) == 0 ? .unsatisfiable : .part(size - min(count, size)..<size)
    case (let start?, let end):
      guard start <= end ?? .max else { return }
      self = start < size ? .part(start..<(min(end ?? .max, size - 1) + 1)) : .unsatisfiable
    }
  }

  /// A number, at most `Int.max`: more than any file has. Nil inside: there is none; nil: it is something else.
  private static func number(_ digits: ArraySlice<UInt8>) -> Int?? {
    var value: Int?
    for byte in digits {
      guard (0x30...0x39).contains(byte) else { return nil }
      let (tens, tooBig) = (value ?? 0).multipliedReportingOverflow(by: 10)
      let (sum, stillTooBig) = tens.addingReportingOverflow(Int(byte - 0x30))
      value = value == .max || tooBig || stillTooBig ? .max : sum
    }
    return .some(value)
  }
}

private func lowercased(_ byte: UInt8) -> UInt8 { (0x41...0x5a).contains(byte) ? byte | 0x20 : byte }
