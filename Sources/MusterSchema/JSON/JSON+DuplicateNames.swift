extension JSON {
  /// Refuses an object that has a name twice. A decoder would silently use one of the two values, perhaps not the one that was meant.
  ///
  /// Used for JSON that people write. Bytes that are not JSON are not refused here: the decoder reports those errors.
  ///
  /// - Throws: ``JSONRefusal`` with the name and its position.
  package static func requireDistinctNames(_ bytes: some Collection<UInt8>) throws {
    var scanner = NameScanner()
    for byte in bytes { try scanner.take(byte) }
  }
}

/// Tracks the names of objects in JSON, byte by byte.
private struct NameScanner {
  /// An object, with its names so far and the name whose value is being read, or an array, which has no names.
  private struct Level {
    var isObject: Bool
    var names: Set<String> = []
    var current = ""
    var expectsName = true
  }

  private var levels: [Level] = []
  /// The string that is being read, from its opening quotation mark on; empty outside of a string.
  private var text: [UInt8] = []
  private var isEscaped = false

  mutating func take(_ byte: UInt8) throws {
    guard text.isEmpty else { return try takeText(byte) }
    switch byte {
    case UInt8(ascii: "\""): text = [byte]
    case UInt8(ascii: "{"): levels.append(Level(isObject: true))
    case UInt8(ascii: "["): levels.append(Level(isObject: false))
    case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = levels.popLast()
    case UInt8(ascii: ","), UInt8(ascii: ":"):
      if !levels.isEmpty { levels[levels.count - 1].expectsName = byte == UInt8(ascii: ",") }
    default: break
    }
  }

  private mutating func takeText(_ byte: UInt8) throws {
    text.append(byte)
    if isEscaped {
      isEscaped = false
    } else if byte == UInt8(ascii: "\\") {
      isEscaped = true
    } else if byte == UInt8(ascii: "\"") {
      defer { text = [] }
      guard let top = levels.indices.last, levels[top].isObject, levels[top].expectsName else { return }
      let name =
        text.contains(UInt8(ascii: "\\"))
        ? try JSON.decode(String.self, from: text) : String(decoding: text[1..<text.count - 1], as: UTF8.self)
      guard levels[top].names.insert(name).inserted else {
        let path = levels.dropLast().filter(\.isObject).map(\.current).joined(separator: ".")
        throw JSONRefusal(
          (path.isEmpty ? "" : "\(path.shown(200)): ") + "the name \"\(name.shown(80))\" is given twice in this object")
      }
      levels[top].current = name
    }
  }
}
