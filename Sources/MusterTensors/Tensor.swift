/// A named tensor in memory.
public struct Tensor: Hashable, Sendable {
  /// The tensor's name.
  public let name: String
  /// The type of the elements.
  public let dtype: DType
  /// The dimensions, slowest-varying first; empty for a scalar.
  public let shape: [Int]
  /// The elements in row-major order, little-endian.
  public let data: [UInt8]

  /// A tensor of these bytes.
  ///
  /// - Throws: `invalidShape`, or `wrongDataLength` if `data` does not have the length that shape and dtype need.
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

  /// A tensor of these numbers, in row-major order, rounded to `dtype` (to nearest, ties to even).
  ///
  /// - Throws: `notFloatingPoint` for an integer dtype, `invalidShape`, or `wrongDataLength` for a wrong number of elements.
  public init(name: String, shape: [Int], floats: [Float], dtype: DType = .f32) throws(SafetensorsError) {
    guard dtype.isFloatingPoint else { throw .notFloatingPoint(tensor: name, dtype: dtype) }
    var data = [UInt8](repeating: 0, count: floats.count * dtype.byteSize)
    data.withUnsafeMutableBytes { raw in floats.withUnsafeBufferPointer { Conversion.store($0, as: dtype, into: raw) } }
    try self.init(name: name, dtype: dtype, shape: shape, data: data)
  }

  /// Name, dtype and shape.
  public var description: TensorDescription { TensorDescription(name: name, dtype: dtype, shape: shape) }

  /// The elements as `Float`, in row-major order; F64 is rounded.
  ///
  /// - Throws: `notFloatingPoint`.
  public func floats() throws(SafetensorsError) -> [Float] {
    guard dtype.isFloatingPoint else { throw .notFloatingPoint(tensor: name, dtype: dtype) }
    return data.withUnsafeBytes { Conversion.floats($0, dtype) }
  }
}
