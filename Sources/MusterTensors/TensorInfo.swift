/// One tensor of a safetensors file, as its header describes it.
public struct TensorInfo: Hashable, Sendable {
  /// The tensor's name.
  public let name: String
  /// The type of the elements.
  public let dtype: DType
  /// The dimensions, slowest-varying first; empty for a scalar.
  public let shape: [Int]
  /// The range of its bytes, counted from the start of the data section.
  public let byteRange: Range<Int>

  package init(name: String, dtype: DType, shape: [Int], byteRange: Range<Int>) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.byteRange = byteRange
  }

  /// The number of elements; 1 for a scalar.
  public var elementCount: Int { byteRange.count / dtype.byteSize }
}
