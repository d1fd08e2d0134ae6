/// Name, dtype and shape of a tensor, without its data.
public struct TensorDescription: Hashable, Sendable {
  /// The tensor's name.
  public var name: String
  /// The type of the elements.
  public var dtype: DType
  /// The dimensions, slowest-varying first; empty for a scalar.
  public var shape: [Int]

  /// Describes a tensor.
  public init(name: String, dtype: DType, shape: [Int]) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
  }
}

/// The tensors of a model: names, dtypes and shapes.
public struct TensorSchema: Hashable, Sendable {
  /// The tensors, sorted by the bytes of their names.
  public let tensors: [TensorDescription]
  private let index: [String: Int]

  /// A schema of these tensors, whose names must be distinct.
  public init(_ tensors: [TensorDescription]) {
    let sorted = tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    self.tensors = sorted
    index = Dictionary(sorted.enumerated().map { ($1.name, $0) }) { first, _ in first }
  }

  /// The schema of a file's tensors.
  public init(_ header: SafetensorsHeader) {
    self.init(header.tensors.map { TensorDescription(name: $0.name, dtype: $0.dtype, shape: $0.shape) })
  }

  /// The tensor of this name, if there is one.
  public subscript(name: String) -> TensorDescription? { index[name].map { tensors[$0] } }

  /// Writes a file of zeros for every floating-point tensor, as F32. Integer tensors are left out. Does not wait for the disk.
  ///
  /// - Throws: `SafetensorsError`.
  public func writeZeros(to path: String, metadata: [String: String] = [:]) throws(SafetensorsError) {
    let floats = tensors.filter(\.dtype.isFloatingPoint).map { TensorDescription(name: $0.name, dtype: .f32, shape: $0.shape) }
    let writer = try SafetensorsWriter(path: path, tensors: floats, metadata: metadata)
    let zeros = [UInt8](repeating: 0, count: 1 << 16)
    while writer.written < writer.header.dataByteCount {
      let count = min(zeros.count, writer.header.dataByteCount - writer.written)
      try zeros.withRawBytes { (raw) throws(SafetensorsError) in try writer.write(UnsafeRawBufferPointer(rebasing: raw[0..<count])) }
    }
    try writer.finish(durable: false)
  }

  /// The first difference between this schema and the expected one, as a phrase; `nil` if it fits.
  ///
  /// - Parameters:
  ///   - expected: the base model's schema.
  ///   - required: names that must be present; `nil` for all expected ones. Other expected tensors may be present, and then must fit, too.
  ///   - anyFloatingPoint: whether any floating-point dtype may stand for any other, as in updates sent in half precision.
  public func difference(
    from expected: TensorSchema, required: Set<String>? = nil, anyFloatingPoint: Bool = false
  ) -> String? {
    for tensor in expected.tensors {
      guard let own = self[tensor.name] else {
        if required?.contains(tensor.name) ?? true { return "missing tensor \(shown(tensor.name))" }
        continue
      }
      if own.shape != tensor.shape { return "wrong shape of \(shown(tensor.name)): expected \(tensor.shape), got \(own.shape)" }
      let interchangeable = anyFloatingPoint && own.dtype.isFloatingPoint && tensor.dtype.isFloatingPoint
      if own.dtype != tensor.dtype && !interchangeable {
        return "wrong dtype of \(shown(tensor.name)): expected \(tensor.dtype.rawValue), got \(own.dtype.rawValue)"
      }
    }
    for tensor in tensors where expected[tensor.name] == nil { return "unknown tensor \(shown(tensor.name))" }
    return nil
  }
}
