/// A safetensors file, or a range of a file that is one, mapped read-only.
///
/// Opening reads only the header; tensors come into memory as they are accessed.
///
/// The mapping lives as long as the last copy of the value.
public struct SafetensorsFile: Sendable {
  /// The file's path; empty for bytes in memory.
  public let path: String
  /// The range of the file at `path`, in bytes; `nil` for all of it.
  public let range: Range<Int>?
  /// The checked header.
  public let header: SafetensorsHeader
  private let mapping: MappedFile

  /// Opens a file and checks its header against the file's length.
  ///
  /// - Parameters:
  ///   - path: path of a regular file, which must not be truncated while it is open.
  ///   - range: the bytes of the file that are the safetensors; `nil` for all of them.
  ///   - maximumHeaderLength: the longest header to read, in bytes.
  /// - Throws: `SafetensorsError` if the file cannot be opened, is truncated, or has an invalid header.
  public init(
    path: String, range: Range<Int>? = nil, maximumHeaderLength: Int = SafetensorsHeader.defaultMaximumLength
  ) throws(SafetensorsError) {
    try self.init(path, range, MappedFile(path, range: range), maximumHeaderLength)
  }

  /// Opens bytes in memory, which are copied.
  package init(bytes: [UInt8]) throws(SafetensorsError) {
    try self.init("", nil, MappedFile(copying: bytes), SafetensorsHeader.defaultMaximumLength)
  }

  /// Opens one of many or large files. It stays open where possible, so that it can be read into the caller's memory: pages of a mapping
  /// would count as this process's memory.
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

  /// The tensors, in the order of their data.
  public var tensors: [TensorInfo] { header.tensors }
  /// The header's metadata.
  public var metadata: [String: String] { header.metadata }
  /// Names, dtypes and shapes of the tensors.
  public var schema: TensorSchema { header.schema }

  /// The model's buffers: declared in the metadata, or recognized by their names.
  ///
  /// - Throws: `buffers` if the declaration is not a JSON array of strings.
  public func buffers() throws(SafetensorsError) -> ModelBuffers { try ModelBuffers(metadata: metadata) }

  /// Passes the bytes of one tensor to `body`. They are valid only there, and may be unaligned.
  ///
  /// - Throws: `noSuchTensor`, and errors of `body`.
  public func withBytes<Result>(
    of name: String, _ body: (UnsafeRawBufferPointer) throws(SafetensorsError) -> Result
  ) throws(SafetensorsError) -> Result {
    try body(data(header.tensor(named: name).byteRange))
  }

  /// Passes the whole file to `body`. The bytes are valid only there.
  package func withFile<Result, Failure: Error>(_ body: (UnsafeRawBufferPointer) throws(Failure) -> Result) throws(Failure) -> Result {
    try body(mapping.bytes)
  }

  /// Passes the whole data section to `body`. The bytes are valid only there.
  public func withData<Result, Failure: Error>(_ body: (UnsafeRawBufferPointer) throws(Failure) -> Result) throws(Failure) -> Result {
    try body(data(0..<header.dataByteCount))
  }

  /// Passes the bytes of some elements of one of this file's tensors to `body`.
  package func withBytes<Result, Failure: Error>(
    of tensor: TensorInfo, elements: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let (start, size) = (tensor.byteRange.lowerBound, tensor.dtype.byteSize)
    return try body(data(start + elements.lowerBound * size..<start + elements.upperBound * size))
  }

  /// Whether `read` works.
  package var isReadable: Bool { mapping.isReadable }

  /// Copies some elements of one of this file's tensors.
  ///
  /// - Parameter target: memory with room for them.
  /// - Returns: `false` if the file can no longer be read.
  package func read(_ tensor: TensorInfo, _ elements: Range<Int>, into target: UnsafeMutableRawPointer) -> Bool {
    let (start, size) = (header.dataOffset + tensor.byteRange.lowerBound, tensor.dtype.byteSize)
    return mapping.read(start + elements.lowerBound * size..<start + elements.upperBound * size, into: target)
  }

  /// Releases the pages of these elements, which then no longer count as this process's memory. They can still be read again.
  package func release(_ tensor: TensorInfo, elements: Range<Int>) {
    let (start, size) = (header.dataOffset + tensor.byteRange.lowerBound, tensor.dtype.byteSize)
    mapping.release(start + elements.lowerBound * size..<start + elements.upperBound * size)
  }

  /// The elements of a tensor as `Float`, in row-major order; F64 is rounded.
  ///
  /// - Throws: `noSuchTensor`, `notFloatingPoint`.
  public func floats(of name: String) throws(SafetensorsError) -> [Float] {
    let tensor = try header.tensor(named: name)
    guard tensor.dtype.isFloatingPoint else { throw .notFloatingPoint(tensor: name, dtype: tensor.dtype) }
    return Conversion.floats(data(tensor.byteRange), tensor.dtype)
  }

  /// A copy of a tensor.
  ///
  /// - Throws: `noSuchTensor`.
  public func tensor(named name: String) throws(SafetensorsError) -> Tensor {
    let tensor = try header.tensor(named: name)
    return try Tensor(name: name, dtype: tensor.dtype, shape: tensor.shape, data: Array(data(tensor.byteRange)))
  }

  /// The name of the first tensor, in the order of the data, that holds an infinity or a NaN; `nil` if all numbers are finite.
  public func nonFiniteTensor() -> String? {
    // Large files are released on the way, because several may be checked at once. A small file is released when it is closed.
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

  /// Bytes of the data section; the range comes from this file's header.
  private func data(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    let start = header.dataOffset
    return UnsafeRawBufferPointer(rebasing: mapping.bytes[start + range.lowerBound..<start + range.upperBound])
  }
}

/// The name of the first tensor in the file that holds an infinity or a NaN; `nil` if all numbers are finite.
///
/// - Throws: `SafetensorsError` if the file cannot be read.
public func nonFiniteTensor(in path: String) throws(SafetensorsError) -> String? {
  try SafetensorsFile(path: path).nonFiniteTensor()
}
