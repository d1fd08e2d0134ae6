/// An encoding of a file's floating-point tensors that saves bytes in transfer.
///
/// A model's buffers (`ModelBuffers`) are plain F32 in every encoding: under their own names, or as `value/NAME` where tensors have parts.
///
/// Error bounds are for a number x and its decoded value, in a tensor or channel whose largest magnitude is m.
public enum TensorEncoding: Hashable, Sendable {
  /// F16 under the tensors' own names. |error| ≤ max(2⁻¹¹ |x|, 2⁻²⁵).
  case float16
  /// BF16 under the tensors' own names. |error| ≤ 2⁻⁸ |x|, for magnitudes of at least 2⁻¹²⁶.
  case bfloat16
  /// I8 values under `value/NAME` and F32 scales under `scale/NAME`: one for each index of the first dimension, or one scalar for a tensor
  /// with fewer than two dimensions. x ≈ value · scale, |error| ≤ m / 254.
  case int8
  /// The ⌈fraction · elements⌉ largest magnitudes of each tensor, at least one: their positions as I32 under `index/NAME`, ascending in
  /// row-major order, and their values as F32 under `value/NAME`. All other elements are zero.
  case topK(fraction: Double)

  /// The metadata key for the encoding's name. A file without it has plain tensors.
  public static let metadataKey = "muster.encoding"

  /// The name in the metadata.
  public var name: String {
    switch self {
    case .float16: "float16"
    case .bfloat16: "bfloat16"
    case .int8: "int8"
    case .topK: "topk"
    }
  }

  /// Finds an encoding by its name.
  ///
  /// - Parameters:
  ///   - name: the name in the metadata.
  ///   - fraction: the fraction that top-k keeps; `nil` takes 0.05.
  /// - Returns: `nil` for `float32`, which means plain tensors, and for unknown names.
  public init?(name: String, fraction: Double? = nil) {
    switch name {
    case "float16": self = .float16
    case "bfloat16": self = .bfloat16
    case "int8": self = .int8
    case "topk": self = .topK(fraction: fraction ?? 0.05)
    default: return nil
    }
  }

  /// Whether models may be sent in this encoding. Top-k would leave out a model's small numbers.
  public var encodesModels: Bool { if case .topK = self { false } else { true } }
}

/// The parts of an encoded tensor, named like `value/conv1.weight`. Every name in such a file has a prefix, so no clash is possible.
enum TensorPart: String {
  case value
  case scale
  case index

  func name(_ tensor: String) -> String { "\(rawValue)/\(tensor)" }

  static func split(_ name: String) -> (part: TensorPart, tensor: String)? {
    // Searched as a byte, because a name may begin with a combining mark, which forms one character with the slash.
    guard let slash = name.utf8.firstIndex(of: UInt8(ascii: "/")), let part = TensorPart(rawValue: String(name[..<slash])) else {
      return nil
    }
    return (part, String(name[name.utf8.index(after: slash)...]))
  }
}
