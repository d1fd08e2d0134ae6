/// Parses the JSON of a safetensors header and nothing more: one object of objects, strings and arrays of natural numbers.
///
/// A general JSON decoder would keep the last of two equal names and build any structure that a hostile header describes. This one takes
/// linear time and refuses both.
struct HeaderScanner {
  /// One tensor as written, before its numbers are checked.
  struct Entry {
    var name: String
    var dtype: String
    var shape: [Int]
    var begin: Int
    var end: Int
  }

  /// Maximum number of dimensions, as in NumPy and PyTorch.
  static let maximumRank = 64
  /// Maximum length of a tensor's or a member's name, in bytes.
  static let maximumNameLength = 1024
  /// Maximum number of non-ASCII bytes in a string: the time to hash or compare strings grows with the square of their combining marks.
  static let maximumBeyondASCII = 4096

  private let bytes: UnsafeRawBufferPointer
  private var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Parses the whole header: entries in the order written, and the metadata.
  mutating func header() throws(SafetensorsError) -> (entries: [Entry], metadata: [String: String]) {
    guard bytes.first == UInt8(ascii: "{") else { throw fail("it must begin with {") }
    var entries: [Entry] = []
    var names: Set<String> = []
    var metadata: [String: String] = [:]
    try object { (scanner, key) throws(SafetensorsError) in
      guard names.insert(key).inserted else { throw .duplicateName(key) }
      if key == "__metadata__" {
        try scanner.object { (scanner, key) throws(SafetensorsError) in
          guard metadata[key] == nil else { throw .duplicateName(key) }
          metadata[key] = try scanner.string(what: "a string (every value of __metadata__ must be one)", atMost: .max)
        }
      } else {
        entries.append(try scanner.entry(named: key))
      }
    }
    skipSpace()
    guard position == bytes.count else { throw fail("there is text after the object") }
    return (entries, metadata)
  }

  private mutating func entry(named name: String) throws(SafetensorsError) -> Entry {
    var dtype: String?
    var shape: [Int]?
    var offsets: [Int]?
    try object { (scanner, key) throws(SafetensorsError) in
      switch key {
      case "dtype" where dtype == nil: dtype = try scanner.string(what: "a dtype's name")
      case "shape" where shape == nil: shape = try scanner.numbers(atMost: Self.maximumRank)
      case "data_offsets" where offsets == nil: offsets = try scanner.numbers(atMost: 2)
      case "dtype", "shape", "data_offsets": throw scanner.fail("tensor \(shown(name)) has \(key) twice")
      default: throw scanner.fail("tensor \(shown(name)) has the unknown field \(shown(key))")
      }
    }
    guard let dtype else { throw fail("tensor \(shown(name)) has no dtype") }
    guard let shape else { throw fail("tensor \(shown(name)) has no shape") }
    guard let offsets, offsets.count == 2 else { throw fail("tensor \(shown(name)) needs two data_offsets") }
    return Entry(name: name, dtype: dtype, shape: shape, begin: offsets[0], end: offsets[1])
  }

  /// Parses an array of tensor names and nothing else, which is the format of `muster.buffers`.
  mutating func names() throws(SafetensorsError) -> [String] {
    try expect("[")
    var result: [String] = []
    if !accept("]") {
      repeat { result.append(try string(what: "a tensor's name")) } while accept(",")
      try expect("]")
    }
    skipSpace()
    guard position == bytes.count else { throw fail("there is text after the array") }
    return result
  }

  // MARK: JSON

  private mutating func object(
    _ member: (inout HeaderScanner, String) throws(SafetensorsError) -> Void
  ) throws(SafetensorsError) {
    try expect("{")
    if accept("}") { return }
    repeat {
      let key = try string(what: "a name")
      try expect(":")
      try member(&self, key)
    } while accept(",")
    try expect("}")
  }

  private mutating func numbers(atMost limit: Int) throws(SafetensorsError) -> [Int] {
    try expect("[")
    var result: [Int] = []
    if accept("]") { return result }
    repeat {
      guard result.count < limit else { throw fail("an array has more than \(limit) numbers") }
      result.append(try number())
    } while accept(",")
    try expect("]")
    return result
  }

  private mutating func number() throws(SafetensorsError) -> Int {
    skipSpace()
    let start = position
    var value = 0
    while position < bytes.count, case let digit = bytes[position] &- UInt8(ascii: "0"), digit < 10 {
      let (tens, tooBig) = value.multipliedReportingOverflow(by: 10)
      let (sum, stillTooBig) = tens.addingReportingOverflow(Int(digit))
      if tooBig || stillTooBig { throw fail("a number does not fit 63 bits") }
      value = sum
      position += 1
    }
    if position == start { throw fail("expected a whole number that is not negative") }
    if position - start > 1, bytes[start] == UInt8(ascii: "0") { throw fail("a number begins with 0") }
    if let next = peek, next == UInt8(ascii: ".") || next | 0x20 == UInt8(ascii: "e") { throw fail("expected a whole number") }
    return value
  }

  private mutating func string(what: String, atMost limit: Int = maximumNameLength) throws(SafetensorsError) -> String {
    guard accept("\"") else { throw fail("expected \(what) in quotes") }
    let start = position
    while let byte = peek, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
    if peek == UInt8(ascii: "\"") {
      defer { position += 1 }
      return try text(UnsafeRawBufferPointer(rebasing: bytes[start..<position]), atMost: limit)
    }
    var buffer = Array(bytes[start..<position])
    while let byte = peek {
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return try buffer.withRawBytes { (raw) throws(SafetensorsError) in try text(raw, atMost: limit) }
      case UInt8(ascii: "\\"): try escape(into: &buffer)
      case 0..<0x20: throw fail("a string contains a control character")
      default: buffer.append(byte)
      }
    }
    throw fail("a string does not end")
  }

  private func text(_ raw: UnsafeRawBufferPointer, atMost limit: Int) throws(SafetensorsError) -> String {
    guard raw.count <= limit else { throw fail("a name has more than \(limit) bytes") }
    guard raw.count <= Self.maximumBeyondASCII || raw.count(where: { $0 >= 0x80 }) <= Self.maximumBeyondASCII else {
      throw fail("a string has more than \(Self.maximumBeyondASCII) non-ASCII bytes")
    }
    guard let text = String(validating: raw, as: UTF8.self) else { throw fail("a string is not UTF-8") }
    return text
  }

  private mutating func escape(into buffer: inout [UInt8]) throws(SafetensorsError) {
    guard let byte = peek else { throw fail("a string does not end") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): buffer.append(byte)
    case UInt8(ascii: "b"): buffer.append(0x08)
    case UInt8(ascii: "f"): buffer.append(0x0c)
    case UInt8(ascii: "n"): buffer.append(0x0a)
    case UInt8(ascii: "r"): buffer.append(0x0d)
    case UInt8(ascii: "t"): buffer.append(0x09)
    case UInt8(ascii: "u"):
      var code = try hex4()
      if code & 0xfc00 == 0xd800 {
        guard rawAccept("\\"), rawAccept("u") else { throw fail("a string contains half of a surrogate pair") }
        let low = try hex4()
        guard low & 0xfc00 == 0xdc00 else { throw fail("a string contains half of a surrogate pair") }
        code = 0x10000 + (code & 0x3ff) << 10 + (low & 0x3ff)
      }
      guard let scalar = Unicode.Scalar(code) else { throw fail("a string contains half of a surrogate pair") }
      buffer.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    default: throw fail("a string contains an unknown escape")
    }
  }

  private mutating func hex4() throws(SafetensorsError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek, byte < 0x80, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw fail("\\u needs four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }

  private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func rawAccept(_ character: Unicode.Scalar) -> Bool {
    guard peek == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func accept(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    return rawAccept(character)
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(SafetensorsError) {
    guard accept(character) else { throw fail("expected \(character)") }
  }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
  }

  private func fail(_ reason: String) -> SafetensorsError { .malformed(offset: position, reason: reason) }
}
