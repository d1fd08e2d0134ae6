/// A safetensors file, or a part of a file that is one, mapped read-only: opening reads the header alone, and tensors come into memory as
/// they are looked at.
///
/// The mapping lives as long as the last copy of the value.
public struct SafetensorsFile: Sendable {
  /// Empty for bytes that came from no file.
  public let path: String
  /// The part of the file at `path`; nil: all of it.
  public let range: Range<Int>?
  public let header: SafetensorsHeader
  private let mapping: MappedFile

  /// Opens a file and checks its header against its length.
  ///
  /// - Parameter range: the bytes of the file that are the safetensors; nil: all.
  /// - Throws: `SafetensorsError`: it cannot be opened, is truncated, or its header is wrong.
  public init(
    path: String, range: Range<Int>? = nil, maximumHeaderLength: Int = SafetensorsHeader.defaultMaximumLength
  ) throws(SafetensorsError) {
    try self.init(path, range, MappedFile(path, range: range), maximumHeaderLength)
  }

  /// From bytes in memory, which are copied.
  package init(bytes: [UInt8]) throws(SafetensorsError) {
    try self.init("", nil, MappedFile(copying: bytes), SafetensorsHeader.defaultMaximumLength)
  }

  /// For one of many or large files: it stays open where it can, to be read into memory of one's own. Pages of a mapping would count as
  /// this process's memory.
  package init(reading path: String, range: Range<Int>? = nil) throws(SafetensorsError) {
    try self.init(path, range, MappedFile(path, range: range, reading: true), SafetensorsHeader.defaultMaximumLength)
    mapping.release(0..<mapping.bytes.count)
  }

  private init(_ path: String, _ range: Range<Int>?, _ mapping: MappedFile, _ maximumHeaderLength: Int) throws(SafetensorsError) {
    self.path = path
    self.range = range
    self.mapping = mapping
    header = try SafetensorsHeader(parsing: mapping.bytes, maximumLength: maximumHeaderLength)
  }

  /// In the order of their data.
  public var tensors: [TensorInfo] { header.tensors }
  public var metadata: [String: String] { header.metadata }
  public var schema: TensorSchema { header.schema }

  /// Which of a model's tensors are buffers.
  ///
  /// - Throws: `buffers` for a declaration that cannot be understood.
  public func buffers() throws(SafetensorsError) -> ModelBuffers { try ModelBuffers(metadata: metadata) }

  /// Hands the bytes of one tensor to `body`; they are valid only there, and may lie at any alignment.
  ///
  /// - Throws: `noSuchTensor`, and what `body` throws.
  public func withBytes<Result>(
    of name: String, _ body: (UnsafeRawBufferPointer) throws(SafetensorsError) -> Result
  ) throws(SafetensorsError) -> Result {
    try body(data(header.tensor(named: name).byteRange))
  }

  /// Hands the whole file to `body`; it is valid only there.
  package func withFile<Result, Failure: Error>(_ body: (UnsafeRawBufferPointer) throws(Failure) -> Result) throws(Failure) -> Result {
    try body(mapping.bytes)
  }

  /// Hands the whole data section to `body`; it is valid only there.
  public func withData<Result, Failure: Error>(_ body: (UnsafeRawBufferPointer) throws(Failure) -> Result) throws(Failure) -> Result {
    try body(data(0..<header.dataByteCount))
  }

  /// Hands some elements of one of this file's own tensors to `body`, as bytes.
  package func withBytes<Result, Failure: Error>(
    of tensor: TensorInfo, elements: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let (start, size) = (tensor.byteRange.lowerBound, tensor.dtype.byteSize)
    return try body(data(start + elements.lowerBound * size..<start + elements.upperBound * size))
  }

  /// Whether `read` may be asked.
  package var isReadable: Bool { mapping.isReadable }

  /// Copies some elements of one of this file's own tensors.
  ///
  /// - Parameter target: with room for them.
  /// - Returns: false when the file cannot be read any more.
  package func read(_ tensor: TensorInfo, _ elements: Range<Int>, into target: UnsafeMutableRawPointer) -> Bool {
    let (start, size) = (header.dataOffset + tensor.byteRange.lowerBound, tensor.dtype.byteSize)
    return mapping.read(start + elements.lowerBound * size..<start + elements.upperBound * size, into: target)
  }

  /// Says that these elements are not needed soon: their pages no longer count as this process's memory. They may be read again.
  package func release(_ tensor: TensorInfo, elements: Range<Int>) {
    let (start, size) = (header.dataOffset + tensor.byteRange.lowerBound, tensor.dtype.byteSize)
    mapping.release(start + elements.lowerBound * size..<start + elements.upperBound * size)
  }

  /// One tensor's elements as `Float`; F64 is rounded.
  ///
  /// - Throws: `noSuchTensor`, `notFloatingPoint`.
  public func floats(of name: String) throws(SafetensorsError) -> [Float] {
    let tensor = try header.tensor(named: name)
    guard tensor.dtype.isFloatingPoint else { throw .notFloatingPoint(tensor: name, dtype: tensor.dtype) }
    return Conversion.floats(data(tensor.byteRange), tensor.dtype)
  }

  /// A copy of one tensor.
  ///
  /// - Throws: `noSuchTensor`.
  public func tensor(named name: String) throws(SafetensorsError) -> Tensor {
    let tensor = try header.tensor(named: name)
    return try Tensor(name: name, dtype: tensor.dtype, shape: tensor.shape, data: Array(data(tensor.byteRange)))
  }

  /// The name of the first tensor, in the order of the data, that holds an infinity or a NaN; nil when all numbers are finite.
  public func nonFiniteTensor() -> String? {
    // Several large files may be looked through at once. What a small one takes is given back as it is closed.
    let isLarge = mapping.bytes.count > 8 << 20
    for tensor in tensors where tensor.dtype.isFloatingPoint {
      var range = tensor.byteRange
      while !range.isEmpty {
        let slice = range.prefix(1 << 20)
        if Conversion.hasNonFinite(data(slice), tensor.dtype) { return tensor.name }
        if isLarge { mapping.release(header.dataOffset + slice.lowerBound..<header.dataOffset + slice.upperBound) }
        range = slice.upperBound..<range.upperBound
      }
    }
    return nil
  }

  /// Bytes of the data section. The range comes from this file's header.
  private func data(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    let start = header.dataOffset
    return UnsafeRawBufferPointer(rebasing: mapping.bytes[start + range.lowerBound..<start + range.upperBound])
  }
}

/// The name of the first tensor in the file that holds an infinity or a NaN; nil when all numbers are finite.
public func nonFiniteTensor(in path: String) throws(SafetensorsError) -> String? {
  try SafetensorsFile(path: path).nonFiniteTensor()
}
