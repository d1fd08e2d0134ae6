extension SafetensorsHeader {
  /// Lays tensors out for a new file: larger element types first, so that every tensor is aligned, then by the bytes of their names. The
  /// same tensors in any order give the same file.
  ///
  /// - Throws: `duplicateName`, `invalidShape`, `headerTooLong`, or `malformed` for a name of more than 1,024 bytes.
  public init(tensors described: [TensorDescription], metadata: [String: String] = [:]) throws(SafetensorsError) {
    let sorted = described.sorted {
      if $0.dtype.byteSize != $1.dtype.byteSize { return $0.dtype.byteSize > $1.dtype.byteSize }
      return $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
    }
    var names: Set<String> = ["__metadata__"]
    var tensors: [TensorInfo] = []
    var end = 0
    for tensor in sorted {
      guard names.insert(tensor.name).inserted else { throw .duplicateName(tensor.name) }
      guard tensor.name.utf8.count <= HeaderScanner.maximumNameLength else {
        throw .malformed(offset: 0, reason: "a name has more than \(HeaderScanner.maximumNameLength) bytes")
      }
      guard tensor.shape.count <= HeaderScanner.maximumRank else {
        throw .invalidShape(tensor: tensor.name, reason: "has more than \(HeaderScanner.maximumRank) dimensions")
      }
      guard let bytes = tensor.dtype.byteCount(shape: tensor.shape) else {
        throw .invalidShape(tensor: tensor.name, reason: "is negative or too large: \(tensor.shape)")
      }
      let (next, overflow) = end.addingReportingOverflow(bytes)
      if overflow { throw .invalidShape(tensor: tensor.name, reason: "is too large: the size of all tensors overflows") }
      tensors.append(TensorInfo(name: tensor.name, dtype: tensor.dtype, shape: tensor.shape, byteRange: end..<next))
      end = next
    }
    let length = Self.encode(tensors, metadata).count
    guard length - 8 <= Self.absoluteMaximumLength else {
      throw .headerTooLong(bytes: UInt64(length - 8), limit: Self.absoluteMaximumLength)
    }
    self.init(checked: tensors, metadata: metadata, dataOffset: length)
  }

  /// The same tensors at the same places, with other metadata.
  ///
  /// - Throws: `headerTooLong`.
  public func replacing(metadata: [String: String]) throws(SafetensorsError) -> SafetensorsHeader {
    let length = Self.encode(tensors, metadata).count
    guard length - 8 <= Self.absoluteMaximumLength else {
      throw .headerTooLong(bytes: UInt64(length - 8), limit: Self.absoluteMaximumLength)
    }
    return SafetensorsHeader(checked: tensors, metadata: metadata, dataOffset: length)
  }

  /// The first bytes of a file with this header: the length and the JSON, padded with spaces so that the data begins at a multiple of
  /// eight. The bytes depend only on the tensors and the metadata.
  public func encoded() -> [UInt8] { Self.encode(tensors, metadata) }

  private static func encode(_ tensors: [TensorInfo], _ metadata: [String: String]) -> [UInt8] {
    var json: [UInt8] = Array(repeating: 0, count: 8)
    json.append(UInt8(ascii: "{"))
    if !metadata.isEmpty {
      json.append(contentsOf: "\"__metadata__\":{".utf8)
      let sorted = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      for (position, entry) in sorted.enumerated() {
        if position > 0 { json.append(UInt8(ascii: ",")) }
        append(entry.key, to: &json)
        json.append(UInt8(ascii: ":"))
        append(entry.value, to: &json)
      }
      json.append(UInt8(ascii: "}"))
    }
    for (position, tensor) in tensors.enumerated() {
      if position > 0 || !metadata.isEmpty { json.append(UInt8(ascii: ",")) }
      append(tensor.name, to: &json)
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      let range = tensor.byteRange
      json.append(
        contentsOf:
          ":{\"dtype\":\"\(tensor.dtype.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":[\(range.lowerBound),\(range.upperBound)]}"
          .utf8)
    }
    json.append(UInt8(ascii: "}"))
    while json.count % 8 != 0 { json.append(0x20) }
    withUnsafeBytes(of: UInt64(json.count - 8).littleEndian) { json.replaceSubrange(0..<8, with: $0) }
    return json
  }

  private static func append(_ text: String, to json: inout [UInt8]) {
    json.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): json.append(contentsOf: [UInt8(ascii: "\\"), byte])
      case 0x08: json.append(contentsOf: "\\b".utf8)
      case 0x09: json.append(contentsOf: "\\t".utf8)
      case 0x0a: json.append(contentsOf: "\\n".utf8)
      case 0x0c: json.append(contentsOf: "\\f".utf8)
      case 0x0d: json.append(contentsOf: "\\r".utf8)
      case 0..<0x20:
        let hex = String(byte, radix: 16)
        json.append(contentsOf: "\\u00\(hex.count == 1 ? "0" : "")\(hex)".utf8)
      default: json.append(byte)
      }
    }
    json.append(UInt8(ascii: "\""))
  }
}
