/// A model or update as it is sent: gives the tensors that an encoded file stands for. A file without `muster.encoding` is plain.
///
/// A value of this type is consistent: scales are finite, and positions ascend and lie within their tensors. Infinities and NaNs are found
/// only while reading, or by `nonFiniteTensor()`.
public struct EncodedFile: Sendable {
  /// The file as it was sent.
  public let file: SafetensorsFile
  /// The encoding; `nil` for plain tensors. The fraction of top-k is not stored in the file, so it has its default here.
  public let encoding: TensorEncoding?
  /// The decoded tensors, sorted by the bytes of their names.
  package let tensors: [EncodedTensor]
  private let index: [String: Int]

  /// Checks the file's parts against its encoding.
  ///
  /// - Parameters:
  ///   - file: the file as it was sent.
  ///   - base: schema of the base model, which gives the shapes for top-k.
  /// - Throws: `SafetensorsError.encoding` for an unknown encoding or inconsistent parts.
  public init(_ file: SafetensorsFile, base: TensorSchema? = nil) throws(SafetensorsError) {
    self.file = file
    let name = file.metadata[TensorEncoding.metadataKey] ?? "float32"
    encoding = TensorEncoding(name: name)
    var tensors: [EncodedTensor] = []
    switch encoding {
    case nil where name != "float32":
      throw .encoding("its \(TensorEncoding.metadataKey) is \(shown(name)); known encodings: float32, float16, bfloat16, int8, topk")
    case nil, .float16, .bfloat16: tensors = Self.plain(file)
    case .int8, .topK:
      let parts = try Self.parts(of: file)
      for name in parts.keys.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
        tensors.append(try Self.tensor(name, parts[name] ?? [:], of: file, encoding == .int8 ? nil : base))
      }
    }
    self.tensors = tensors
    index = Dictionary(tensors.enumerated().map { ($1.name, $0) }) { first, _ in first }
  }

  /// A plain file, regardless of its metadata.
  init(plain file: SafetensorsFile) {
    self.file = file
    encoding = nil
    tensors = Self.plain(file)
    index = Dictionary(tensors.enumerated().map { ($1.name, $0) }) { first, _ in first }
  }

  private static func plain(_ file: SafetensorsFile) -> [EncodedTensor] {
    file.tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
      .map { EncodedTensor(name: $0.name, shape: $0.shape, storage: .plain($0)) }
  }

  /// Names, shapes and dtypes of the decoded tensors; F32 for tensors with scales or positions.
  public var schema: TensorSchema { TensorSchema(tensors.map { TensorDescription(name: $0.name, dtype: $0.dtype, shape: $0.shape) }) }

  package func tensor(named name: String) -> EncodedTensor? { index[name].map { tensors[$0] } }

  /// The name of the first tensor that holds an infinity or a NaN; `nil` if all numbers are finite.
  public func nonFiniteTensor() -> String? {
    guard let name = file.nonFiniteTensor() else { return nil }
    return encoding == .int8 || !(encoding?.encodesModels ?? true) ? TensorPart.split(name)?.tensor ?? name : name
  }

  private static func parts(of file: SafetensorsFile) throws(SafetensorsError) -> [String: [TensorPart: TensorInfo]] {
    var parts: [String: [TensorPart: TensorInfo]] = [:]
    for info in file.tensors {
      guard let (part, tensor) = TensorPart.split(info.name) else {
        throw .encoding("\(shown(info.name)) is not a part of a tensor: parts are named value/…, scale/… or index/…")
      }
      parts[tensor, default: [:]][part] = info
    }
    return parts
  }

  private static func tensor(
    _ name: String, _ parts: [TensorPart: TensorInfo], of file: SafetensorsFile, _ base: TensorSchema?
  ) throws(SafetensorsError) -> EncodedTensor {
    guard let value = parts[.value] else { throw .encoding("tensor \(shown(name)) has no values") }
    switch (parts[.scale], parts[.index], file.metadata[TensorEncoding.metadataKey]) {
    case (nil, nil, _): return EncodedTensor(name: name, shape: value.shape, storage: .plain(value))
    case (let scale?, nil, "int8"):
      let channels = value.shape.count < 2 ? [] : [value.shape[0]]
      guard value.dtype == .i8, scale.dtype == .f32, scale.shape == channels else {
        throw .encoding("tensor \(shown(name)) needs I8 values, and F32 scales of shape \(channels)")
      }
      let scales = try file.floats(of: scale.name)
      guard scales.allSatisfy({ $0.isFinite && $0 >= 0 }) else { throw .encoding("a scale of \(shown(name)) is negative or not finite") }
      let channel = channels.isEmpty ? value.elementCount : value.elementCount / max(1, scales.count)
      return EncodedTensor(name: name, shape: value.shape, storage: .scaled(value, scales: scales, channel: max(1, channel)))
    case (nil, let index?, "topk"):
      guard let shape = base?[name]?.shape, let bytes = DType.i8.byteCount(shape: shape) else {
        throw .encoding("unknown tensor \(shown(name))")
      }
      guard index.dtype == .i32, value.dtype == .f32, index.shape.count == 1, value.shape == index.shape else {
        throw .encoding("tensor \(shown(name)) needs as many F32 values as I32 positions, in one dimension")
      }
      var last = -1
      let ascends = try file.withBytes(of: index.name) { raw in
        for i in 0..<index.elementCount {
          let position = Int(raw.loadUnaligned(fromByteOffset: i * 4, as: Int32.self))
          guard position > last, position < bytes else { return false }
          last = position
        }
        return true
      }
      guard ascends else { throw .encoding("the positions in \(shown(name)) must ascend and be less than \(bytes)") }
      return EncodedTensor(name: name, shape: shape, storage: .sparse(index: index, values: value))
    default: throw .encoding("tensor \(shown(name)) has parts that do not belong to this encoding")
    }
  }
}

/// One tensor of an encoded file.
package struct EncodedTensor: Sendable {
  package enum Storage: Sendable {
    /// As it is, in one tensor of the file.
    case plain(TensorInfo)
    /// I8 values with one scale for every `channel` elements.
    case scaled(TensorInfo, scales: [Float], channel: Int)
    /// Ascending positions and their values; all other elements are zero.
    case sparse(index: TensorInfo, values: TensorInfo)
  }

  package let name: String
  package let shape: [Int]
  package let storage: Storage

  package var dtype: DType { if case .plain(let info) = storage { info.dtype } else { .f32 } }
  package var elementCount: Int { shape.reduce(1, *) }
}
