/// What the elements of a tensor are. Raw values are the names that safetensors headers use.
public enum DType: String, Codable, CaseIterable, Hashable, Sendable {
  case f64 = "F64"
  case f32 = "F32"
  case f16 = "F16"
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

  /// Whether it can be averaged.
  public var isFloatingPoint: Bool {
    switch self {
    case .f64, .f32, .f16, .bf16: true
    case .i64, .i32, .i16, .i8, .u8, .bool: false
    }
  }

  /// Bytes of a tensor of this shape; nil for a negative dimension or when it does not fit an `Int`.
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
