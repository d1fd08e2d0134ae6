/// The header of a safetensors file, fully checked: its tensors lie without overlap or gap, up to the exact end of the file.
///
/// A file is eight bytes with the header's length (little-endian), that many bytes of JSON, then the data section.
///
/// Format: https://github.com/huggingface/safetensors. This reader is stricter: it refuses unknown fields, more than 64 dimensions, names
/// of more than 1,024 bytes, and strings with more than 4,096 bytes of non-ASCII text.
public struct SafetensorsHeader: Hashable, Sendable {
  /// The longest header in bytes that is ever read or written, which is the format's own limit.
  public static let absoluteMaximumLength = 100_000_000
  /// The longest header in bytes that is read by default: room for about 100,000 tensors.
  public static let defaultMaximumLength = 16 << 20

  /// The tensors, in the order of their data.
  public let tensors: [TensorInfo]
  /// The strings of `__metadata__`.
  public let metadata: [String: String]
  /// The offset of the data section in the file, in bytes.
  public let dataOffset: Int
  private let index: [String: Int]

  /// Length of the data section, in bytes.
  public var dataByteCount: Int { tensors.last?.byteRange.upperBound ?? 0 }
  /// Length of the whole file, in bytes.
  public var fileByteCount: Int { dataOffset + dataByteCount }

  /// Parses and checks a header.
  ///
  /// - Parameters:
  ///   - bytes: the file from its start. The data section may be missing; then pass `fileByteCount`.
  ///   - fileByteCount: length of the whole file; `nil` if `bytes` is the whole file.
  ///   - maximumLength: the longest header to read, in bytes.
  /// - Throws: `SafetensorsError` for any invalid input; no input traps.
  public init(
    parsing bytes: UnsafeRawBufferPointer, fileByteCount: Int? = nil, maximumLength: Int = defaultMaximumLength
  ) throws(SafetensorsError) {
    guard bytes.count >= 8 else { throw .tooShort(bytes: bytes.count) }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    let limit = min(maximumLength, Self.absoluteMaximumLength)
    guard length <= UInt64(max(0, limit)) else { throw .headerTooLong(bytes: length, limit: limit) }
    let count = Int(length)
    guard count <= bytes.count - 8 else { throw .headerTruncated(bytes: count, available: bytes.count - 8) }
    var scanner = HeaderScanner(UnsafeRawBufferPointer(rebasing: bytes[8..<8 + count]))
    let (entries, metadata) = try scanner.header()
    let dataOffset = 8 + count
    try self.init(entries, metadata: metadata, dataOffset: dataOffset, dataBytes: (fileByteCount ?? bytes.count) - dataOffset)
  }

  /// Parses and checks the header of a whole file in memory.
  public init(parsing bytes: [UInt8], maximumLength: Int = defaultMaximumLength) throws(SafetensorsError) {
    self = try bytes.withRawBytes { (raw) throws(SafetensorsError) in
      try SafetensorsHeader(parsing: raw, maximumLength: maximumLength)
    }
  }

  private init(
    _ entries: [HeaderScanner.Entry], metadata: [String: String], dataOffset: Int, dataBytes: Int
  ) throws(SafetensorsError) {
    var tensors: [TensorInfo] = []
    tensors.reserveCapacity(entries.count)
    for entry in entries {
      guard let dtype = DType(rawValue: entry.dtype) else { throw .unknownDType(tensor: entry.name, dtype: entry.dtype) }
      guard let bytes = dtype.byteCount(shape: entry.shape) else {
        throw .invalidShape(tensor: entry.name, reason: "is too large: its size overflows")
      }
      guard entry.begin <= entry.end, entry.end <= dataBytes else {
        throw .invalidOffsets(tensor: entry.name, begin: entry.begin, end: entry.end, dataBytes: max(0, dataBytes))
      }
      guard entry.end - entry.begin == bytes else {
        throw .sizeMismatch(tensor: entry.name, expected: bytes, found: entry.end - entry.begin)
      }
      tensors.append(TensorInfo(name: entry.name, dtype: dtype, shape: entry.shape, byteRange: entry.begin..<entry.end))
    }
    tensors.sort {
      let (left, right) = ($0.byteRange, $1.byteRange)
      if left.lowerBound != right.lowerBound { return left.lowerBound < right.lowerBound }
      if left.upperBound != right.upperBound { return left.upperBound < right.upperBound }
      return $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
    }
    var end = 0
    for (position, tensor) in tensors.enumerated() {
      if tensor.byteRange.lowerBound < end { throw .overlap(tensor: tensor.name, with: tensors[position - 1].name) }
      if tensor.byteRange.lowerBound > end { throw .gap(before: tensor.name, bytes: tensor.byteRange.lowerBound - end) }
      end = tensor.byteRange.upperBound
    }
    guard end == dataBytes else { throw .dataNotCovered(expected: end, found: max(0, dataBytes)) }
    self.init(checked: tensors, metadata: metadata, dataOffset: dataOffset)
  }

  /// A header of tensors that are known to have distinct names and to lie without gap or overlap.
  init(checked tensors: [TensorInfo], metadata: [String: String], dataOffset: Int) {
    self.tensors = tensors
    self.metadata = metadata
    self.dataOffset = dataOffset
    index = Dictionary(tensors.enumerated().map { ($1.name, $0) }) { first, _ in first }
  }

  /// The tensor of this name.
  ///
  /// - Throws: `noSuchTensor`.
  public func tensor(named name: String) throws(SafetensorsError) -> TensorInfo {
    guard let position = index[name] else { throw .noSuchTensor(name) }
    return tensors[position]
  }

  /// Whether there is a tensor of this name.
  public func contains(_ name: String) -> Bool { index[name] != nil }

  /// Names, dtypes and shapes of the tensors.
  public var schema: TensorSchema { TensorSchema(self) }
}
