/// A named tensor in memory.
public struct Tensor: Hashable, Sendable {
  public let name: String
  public let dtype: DType
  /// The dimensions, slowest first; empty for a scalar.
  public let shape: [Int]
  /// The elements, row by row, little-endian.
  public let data: [UInt8]

  /// - Throws: `invalidShape`, or `wrongDataLength` when `data` is not what shape and dtype need.
  public init(name: String, dtype: DType, shape: [Int], data: [UInt8]) throws(SafetensorsError) {
    guard let expected = dtype.byteCount(shape: shape) else {
      throw .invalidShape(tensor: name, reason: "is negative or too large: \(shape)")
    }
    guard data.count == expected else { throw .wrongDataLength(tensor: name, expected: expected, found: data.count) }
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.data = data
  }

  /// A tensor of these numbers, rounded to `dtype` (nearest, ties to even).
  ///
  /// - Throws: as above, and `notFloatingPoint` for an integer dtype.
  public init(name: String, shape: [Int], floats: [Float], dtype: DType = .f32) throws(SafetensorsError) {
    guard dtype.isFloatingPoint else { throw .notFloatingPoint(tensor: name, dtype: dtype) }
    var data = [UInt8](repeating: 0, count: floats.count * dtype.byteSize)
    data.withUnsafeMutableBytes { raw in floats.withUnsafeBufferPointer { Conversion.store($0, as: dtype, into: raw) } }
    try self.init(name: name, dtype: dtype, shape: shape, data: data)
  }

  public var description: TensorDescription { TensorDescription(name: name, dtype: dtype, shape: shape) }

  /// The elements as `Float`; F64 is rounded.
  ///
  /// - Throws: `notFloatingPoint`.
  public func floats() throws(SafetensorsError) -> [Float] {
    guard dtype.isFloatingPoint else { throw .notFloatingPoint(tensor: name, dtype: dtype) }
    return data.withUnsafeBytes { Conversion.floats($0, dtype) }
  }
}
