/// How floating-point tensors lie in a file that travels, when it is not as they are.
///
/// A model's buffers (`ModelBuffers`) lie in every encoding as plain F32: under their own names, or `value/NAME` where tensors have parts.
///
/// The bounds are those of one number x and what is read back for it, in a tensor or channel whose largest magnitude is m.
public enum TensorEncoding: Hashable, Sendable {
  /// F16 under the tensors' own names; |error| ≤ max(2⁻¹¹ |x|, 2⁻²⁵).
  case float16
  /// BF16 under the tensors' own names; |error| ≤ 2⁻⁸ |x|, for magnitudes from 2⁻¹²⁶ on.
  case bfloat16
  /// I8 under `value/NAME`, and under `scale/NAME` one F32 for each index of the first dimension (of a tensor with fewer than two: one, a
  /// scalar); x ≈ value · scale, |error| ≤ m / 254.
  case int8
  /// Of each tensor the ⌈fraction · elements⌉ largest magnitudes, at least one: their positions, ascending, row by row, as I32 under
  /// `index/NAME`, their values as F32 under `value/NAME`. All others are zero.
  case topK(fraction: Double)

  /// Where a file's metadata says which one it is; plain tensors when it says nothing.
  public static let metadataKey = "muster.encoding"

  /// As the metadata says it.
  public var name: String {
    switch self {
    case .float16: "float16"
    case .bfloat16: "bfloat16"
    case .int8: "int8"
    case .topK: "topk"
    }
  }

  /// - Returns: nil for `float32`, which is no encoding, and for what is not known.
  public init?(name: String, fraction: Double? = nil) {
    switch name {
    case "float16": self = .float16
    case "bfloat16": self = .bfloat16
    case "int8": self = .int8
    case "topk": self = .topK(fraction: fraction ?? 0.05)
    default: return nil
    }
  }

  /// Whether models travel in it, too: a model's small numbers are not to be left out.
  public var encodesModels: Bool { if case .topK = self { false } else { true } }
}

/// The parts of one tensor in a file: `value/conv1.weight`. All names of such a file have one, so none can clash with a tensor's own.
enum TensorPart: String {
  case value
  case scale
  case index

  func name(_ tensor: String) -> String { "\(rawValue)/\(tensor)" }

  static func split(_ name: String) -> (part: TensorPart, tensor: String)? {
    // A byte, not a character: a name may begin with a mark that joins the slash.
    guard let slash = name.utf8.firstIndex(of: UInt8(ascii: "/")), let part = TensorPart(rawValue: String(name[..<slash])) else {
      return nil
    }
    return (part, String(name[name.utf8.index(after: slash)...]))
  }
}
