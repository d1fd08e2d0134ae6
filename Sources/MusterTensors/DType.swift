/// The element type of a tensor. Raw values are the names in safetensors headers.
public enum DType: String, Codable, CaseIterable, Hashable, Sendable {
  /// IEEE 754 binary64.
  case f64 = "F64"
  /// IEEE 754 binary32.
  case f32 = "F32"
  /// IEEE 754 binary16.
  case f16 = "F16"
  /// bfloat16: the upper half of a binary32.
  case bf16 = "BF16"
  case i64 = "I64"
  case i32 = "I32"
  case i16 = "I16"
  case i8 = "I8"
  case u8 = "U8"
  case bool = "BOOL"

  /// Bytes of one element.
  public var byteSize: Int {
    switch self {
    case .f64, .i64: 8
    case .f32, .i32: 4
    case .f16, .bf16, .i16: 2
    case .i8, .u8, .bool: 1
    }
  }

  /// Whether elements are floating-point numbers; only such tensors are aggregated.
  public var isFloatingPoint: Bool {
    switch self {
    case .f64, .f32, .f16, .bf16: true
    case .i64, .i32, .i16, .i8, .u8, .bool: false
    }
  }

  /// Size of a tensor of this shape in bytes; `nil` if a dimension is negative or the size does not fit an `Int`.
  public func byteCount(shape: [Int]) -> Int? {
    var count = byteSize
    var empty = false
    for dimension in shape {
      if dimension < 0 { return nil }
      if dimension == 0 {
        empty = true
        continue
      }
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      if overflow { return nil }
      count = product
    }
    return empty ? 0 : count
  }
}
