/// Reads columns of numbers, one of which is the label (RFC 4180: quoted fields, CR LF or LF), plain or gzip. docs/data.md describes the
/// format; `Tests/Cases/csv` tests this reader and the Python package's against it.
enum CSV {
  struct Layout {
    /// The label's column.
    var label: LabelColumn
    var header: Bool
    /// Values are divided by this number.
    var scale: Double
    /// The classes' names in order, if labels are not numbers.
    var classNames: [String]?
    var separator: UInt8
  }

  static func read(_ path: String, _ layout: Layout) throws(ModelError) -> DataSet {
    guard layout.scale.isFinite, layout.scale != 0 else { throw .data(file: path, "`scale` must not be 0") }
    let reader = try FileReader(path)
    var lines = Lines(bytes: try reader.read(upTo: 1 << 34), separator: layout.separator, path: path)
    var numbers: [Float] = []
    var labels: [Int32] = []
    guard let first = try lines.next() else { throw .data(file: path, "is empty") }
    let width = first.count
    let column = try layout.label.position(in: width, names: layout.header ? first : nil, path: path)
    var record = layout.header ? try lines.next() : first
    while let fields = record {
      guard fields.count == width else {
        throw .data(file: path, "line \(lines.number) has \(fields.count) fields, but the first line has \(width)")
      }
      guard width > 1 else { throw .data(file: path, "has a label but no values: is the separator right?") }
      for (index, field) in fields.enumerated() {
        if index == column {
          labels.append(try label(field, layout, line: lines.number, path: path))
        } else {
          numbers.append(try value(field, layout, line: lines.number, index, path: path))
        }
      }
      record = try lines.next()
    }
    guard !labels.isEmpty else { throw .data(file: path, "holds no samples") }
    return DataSet(shape: SampleShape(channels: 1, height: 1, width: width - 1), numbers: numbers, labels: labels)
  }

  private static func label(_ field: String, _ layout: Layout, line: Int, path: String) throws(ModelError) -> Int32 {
    if let names = layout.classNames {
      guard let index = names.firstIndex(of: field) else {
        throw .data(file: path, "line \(line): the label \"\(field.prefix(40))\" is not in `classNames`")
      }
      return Int32(index)
    }
    guard let value = decimal(field), value.rounded() == value, (0...100_000).contains(value) else {
      throw .data(
        file: path,
        "line \(line): the label \"\(field.prefix(40))\" is not a whole number from 0 to 100000; name the classes in `classNames`")
    }
    return Int32(value)
  }

  private static func value(
    _ field: String, _ layout: Layout, line: Int, _ index: Int, path: String
  ) throws(ModelError) -> Float {
    func refused(_ why: String) -> ModelError { .data(file: path, "line \(line), field \(index + 1): \"\(field.prefix(40))\" \(why)") }
    guard let number = decimal(field) else { throw refused("is not a number") }
    let scaled = Float(number / layout.scale)
    guard scaled.isFinite else { throw refused("is too large for single precision") }
    return scaled
  }

  /// A decimal number: sign, digits, point, exponent. `Double` alone would also take hexadecimal numbers, infinities and NaN, which other
  /// readers spell differently. Infinite if the number exceeds the range of `Double`.
  private static func decimal(_ field: String) -> Double? {
    var rest = field.utf8[...]
    func sign() { if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") { rest.removeFirst() } }
    func digits() -> Int {
      let count = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.count
      rest.removeFirst(count)
      return count
    }
    sign()
    var mantissa = digits()
    if rest.first == UInt8(ascii: ".") {
      rest.removeFirst()
      mantissa += digits()
    }
    guard mantissa > 0 else { return nil }
    if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
      rest.removeFirst()
      sign()
      guard digits() > 0 else { return nil }
    }
    return rest.isEmpty ? Double(field) : nil
  }

  /// Splits text into lines and fields.
  private struct Lines {
    let bytes: [UInt8]
    let separator: UInt8
    let path: String
    /// The line on which the last record begins, counted from 1.
    private(set) var number = 0
    private var breaks = 0
    private var position = 0

    init(bytes: [UInt8], separator: UInt8, path: String) {
      self.bytes = bytes
      self.separator = separator
      self.path = path
      if bytes.starts(with: [0xef, 0xbb, 0xbf]) { position = 3 }
    }

    /// The fields of the next line that is not blank, with blanks at their ends removed. A quoted field may span several lines.
    mutating func next() throws(ModelError) -> [String]? {
      while position < bytes.count {
        number = breaks + 1
        var fields: [String] = []
        var field: [UInt8] = []
        var quoted = false
        line: while position < bytes.count {
          let byte = bytes[position]
          position += 1
          if byte == UInt8(ascii: "\n") { breaks += 1 }
          if byte == UInt8(ascii: "\"") {
            if quoted, position < bytes.count, bytes[position] == byte {
              field.append(byte)
              position += 1
            } else {
              quoted.toggle()
            }
          } else if quoted {
            field.append(byte)
          } else if byte == separator {
            fields.append(Lines.text(field))
            field.removeAll(keepingCapacity: true)
          } else if byte == UInt8(ascii: "\n") {
            break line
          } else {
            field.append(byte)
          }
        }
        guard !quoted else { throw .data(file: path, "line \(number) opens a quoted field that never ends") }
        fields.append(Lines.text(field))
        if fields != [""] { return fields }
      }
      return nil
    }

    private static func text(_ bytes: [UInt8]) -> String {
      func blank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }
      let trimmed = bytes.drop(while: blank)
      let end = trimmed.lastIndex { !blank($0) }.map { $0 + 1 } ?? trimmed.startIndex
      return String(decoding: trimmed[..<end], as: UTF8.self)
    }
  }
}

/// The column of a CSV file that is the label.
package enum LabelColumn: Hashable, Sendable, Codable {
  /// By its name in the header line.
  case name(String)
  /// By its position: from 0, or negative from the end, so that −1 is the last column.
  case position(Int)

  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let position = try? container.decode(Int.self) {
      self = .position(position)
    } else {
      self = .name(try container.decode(String.self))
    }
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .name(let name): try container.encode(name)
    case .position(let position): try container.encode(position)
    }
  }

  func position(in width: Int, names: [String]?, path: String) throws(ModelError) -> Int {
    switch self {
    case .name(let name):
      guard let names else { throw .data(file: path, "`label` is a column's name, so `header` must be true") }
      guard let index = names.firstIndex(of: name) else {
        let shown = names.prefix(20).map { String($0.prefix(40)) }.joined(separator: ", ")
        throw .data(file: path, "has no column \"\(name)\"; its columns are \(shown)")
      }
      let named = names.count { $0 == name }
      guard named == 1 else {
        throw .data(file: path, "has \(named) columns \"\(name)\": give the position of the right one")
      }
      return index
    case .position(let position):
      let index = position < 0 ? width + position : position
      guard (0..<width).contains(index) else { throw .data(file: path, "has \(width) columns, so column \(position) does not exist") }
      return index
    }
  }
}
