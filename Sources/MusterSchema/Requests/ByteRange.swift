/// The part of a file that a `Range` header asks for (RFC 9110, section 14).
///
/// A request for several ranges is answered with the whole file, which the RFC allows.
package enum ByteRange: Hashable, Sendable {
  case whole
  case part(Range<Int>)
  case unsatisfiable

  /// - Parameters:
  ///   - field: the header; `nil` if there is none.
  ///   - size: size of the file in bytes.
  package init(_ field: String?, size: Int) {
    self = .whole
    // Compares bytes, not characters: a letter and a combining accent are one other character, but still contain the letter's byte.
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

  /// A number, limited to `Int.max`, which is more than any file has. The inner `nil` means no digits, the outer `nil` other characters.
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
