internal import CKernels

/// Converts between raw tensor bytes and `Float` or `Double`, for floating-point dtypes; an integer dtype traps. Raw bytes may lie at any
/// address, because the format aligns only the data section.
package enum Conversion {
  static func floats(_ raw: UnsafeRawBufferPointer, _ dtype: DType) -> [Float] {
    let count = raw.count / dtype.byteSize
    return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      load(raw, dtype, into: buffer)
      initialized = count
    }
  }

  /// Converts all of `raw` into the start of `out`; F64 is rounded.
  package static func load(_ raw: UnsafeRawBufferPointer, _ dtype: DType, into out: UnsafeMutableBufferPointer<Float>) {
    let count = raw.count / dtype.byteSize
    precondition(out.count >= count, "the buffer has room for \(out.count) floats, but \(count) are to be loaded")
    guard count > 0, let source = raw.baseAddress, let target = out.baseAddress else { return }
    switch dtype {
    case .f32: UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: count * 4)
    case .f64: for i in 0..<count { target[i] = Float(source.loadUnaligned(fromByteOffset: i &* 8, as: Double.self)) }
    case .f16: muster_float_from_half(source, target, count)
    case .bf16: muster_float_from_brain(source, target, count)
    case .i64, .i32, .i16, .i8, .u8, .bool: preconditionFailure("\(dtype.rawValue) is not floating-point")
    }
  }

  /// Converts all of `raw` into the start of `out`, exactly.
  package static func load(_ raw: UnsafeRawBufferPointer, _ dtype: DType, into out: UnsafeMutableBufferPointer<Double>) {
    let count = raw.count / dtype.byteSize
    precondition(out.count >= count, "the buffer has room for \(out.count) doubles, but \(count) are to be loaded")
    guard count > 0, let source = raw.baseAddress, let target = out.baseAddress else { return }
    switch dtype {
    case .f64: UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: count * 8)
    case .f32: for i in 0..<count { target[i] = Double(source.loadUnaligned(fromByteOffset: i &* 4, as: Float.self)) }
    case .f16, .bf16:
      inBlocks(count) { start, block in
        load(UnsafeRawBufferPointer(start: source + start * 2, count: block.count * 2), dtype, into: block)
        for i in 0..<block.count { target[start + i] = Double(block[i]) }
      }
    case .i64, .i32, .i16, .i8, .u8, .bool: preconditionFailure("\(dtype.rawValue) is not floating-point")
    }
  }

  /// Rounds all of `values` (to nearest, ties to even) into the start of `raw`.
  package static func store(_ values: UnsafeBufferPointer<Float>, as dtype: DType, into raw: UnsafeMutableRawBufferPointer) {
    let count = values.count
    precondition(raw.count >= count * dtype.byteSize, "\(raw.count) bytes are too few for \(count) elements of \(dtype.rawValue)")
    guard count > 0, let source = values.baseAddress, let target = raw.baseAddress else { return }
    switch dtype {
    case .f32: target.copyMemory(from: source, byteCount: count * 4)
    case .f64: for i in 0..<count { target.storeBytes(of: Double(source[i]), toByteOffset: i &* 8, as: Double.self) }
    case .f16: muster_half_from_float(source, target, count)
    case .bf16: muster_brain_from_float(source, target, count)
    case .i64, .i32, .i16, .i8, .u8, .bool: preconditionFailure("\(dtype.rawValue) is not floating-point")
    }
  }

  /// Rounds all of `values` (to nearest, ties to even, in one rounding) into the start of `raw`.
  package static func store(_ values: UnsafeBufferPointer<Double>, as dtype: DType, into raw: UnsafeMutableRawBufferPointer) {
    let count = values.count
    precondition(raw.count >= count * dtype.byteSize, "\(raw.count) bytes are too few for \(count) elements of \(dtype.rawValue)")
    guard count > 0, let source = values.baseAddress, let target = raw.baseAddress else { return }
    switch dtype {
    case .f64: target.copyMemory(from: source, byteCount: count * 8)
    case .f32: for i in 0..<count { target.storeBytes(of: Float(source[i]), toByteOffset: i &* 4, as: Float.self) }
    case .f16, .bf16:
      inBlocks(count) { start, block in
        for i in 0..<block.count { block[i] = roundedToOdd(source[start + i]) }
        let slice = UnsafeMutableRawBufferPointer(start: target + start * 2, count: block.count * 2)
        store(UnsafeBufferPointer(block), as: dtype, into: slice)
      }
    case .i64, .i32, .i16, .i8, .u8, .bool: preconditionFailure("\(dtype.rawValue) is not floating-point")
    }
  }

  /// Whether any element is an infinity or a NaN; `false` for integer dtypes.
  package static func hasNonFinite(_ raw: UnsafeRawBufferPointer, _ dtype: DType) -> Bool {
    // Adding one to the exponent sets the sign bit exactly if the exponent is all ones, that is, for an infinity or a NaN.
    switch dtype {
    case .f32: Rows.hasNonFiniteFloats(raw)
    case .f64: carries(raw, magnitude: 0x7fff_ffff_ffff_ffff as UInt64, one: 0x0010_0000_0000_0000)
    case .f16: carries(raw, magnitude: 0x7fff as UInt16, one: 0x0400)
    case .bf16: carries(raw, magnitude: 0x7fff as UInt16, one: 0x0080)
    case .i64, .i32, .i16, .i8, .u8, .bool: false
    }
  }

  @inline(__always)
  private static func carries<T: FixedWidthInteger>(_ raw: UnsafeRawBufferPointer, magnitude: T, one: T) -> Bool {
    guard let source = raw.baseAddress else { return false }
    let size = MemoryLayout<T>.size
    var all: T = 0
    for i in 0..<raw.count / size { all |= (source.loadUnaligned(fromByteOffset: i &* size, as: T.self) & magnitude) &+ one }
    return all & ~magnitude != 0
  }

  /// Rounding to `Float` and then to 16 bits can be wrong near a tie; rounding to odd first avoids that (Boldo and Melquiond 2008).
  @inline(__always)
  private static func roundedToOdd(_ value: Double) -> Float {
    let near = Float(value)
    let back = Double(near)
    if back == value || !near.isFinite { return near }
    let towardZero = back.magnitude > value.magnitude ? near.bitPattern &- 1 : near.bitPattern
    return Float(bitPattern: towardZero | 1)
  }

  private static func inBlocks(_ count: Int, _ body: (Int, UnsafeMutableBufferPointer<Float>) -> Void) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: min(count, 1024)) { block in
      var start = 0
      while start < count {
        let length = min(block.count, count - start)
        body(start, UnsafeMutableBufferPointer(rebasing: block[0..<length]))
        start += length
      }
    }
  }
}
