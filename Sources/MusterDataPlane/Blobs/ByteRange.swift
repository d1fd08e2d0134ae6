/// What a `Range` header asks of a file.
///
/// RFC 9110, section 14. Several ranges at once are answered with the whole file, which the RFC allows.
enum ByteRange: Hashable {
  case whole
  case part(Range<Int>)
  case unsatisfiable

  /// - Parameters:
  ///   - field: the header; nil: none.
  ///   - size: of the file, bytes.
  init(_ field: String?, size: Int) {
    self = .whole
    guard let field, field.lowercased().hasPrefix("bytes=") else { return }
    let text = field.dropFirst(6).filter { $0 != " " && $0 != "\t" }
    guard !text.contains(","), let dash = text.firstIndex(of: "-") else { return }
    let (first, last) = (text[..<dash], text[text.index(after: dash)...])
    guard (first + last).utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return }
    if first.isEmpty {
      guard !last.isEmpty else { return }
      // The last n bytes; a number beyond Int is more than any file has.
      let count = min(Int(last) ?? .max, size)
      self = count == 0 ? .unsatisfiable : .part(size - count..<size)
      return
    }
    let start = Int(first) ?? .max
    let end = last.isEmpty ? Int.max : Int(last) ?? .max
    guard start <= end else { return }
    self = start < size ? .part(start..<(min(end, size - 1) + 1)) : .unsatisfiable
  }
}
