import CKernels
import MusterTensors
import TestSupport
import Testing

@Suite("Conversion of elements")
struct ConversionTests {
  private static let interesting: [Float] =
    [
      0, -0.0, 1, -1, 65504, 65519, 65519.996, 65520, 65536, -65520, .infinity, -.infinity, 6.1e-5, 6.097e-5, 0x1p-24, 0x1p-25,
      0x1.000002p-25,
      0x1.8p-24, -0x1.8p-24, 0x1p-26, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 1 + 0x1p-11, 1 + 0x3p-11, 1 + 0x1.002p-11, 0.1, .pi,
    ]

  @Test("Every half is read as the language itself reads it, with and without the processor's help")
  func halves() {
    let patterns = (0...UInt16.max).map { $0 }
    var fast = [Float](repeating: 0, count: patterns.count)
    var portable = fast
    muster_float_from_half(patterns, &fast, patterns.count)
    muster_float_from_half_portable(patterns, &portable, patterns.count)
    for pattern in patterns {
      let expected = Float(Float16(bitPattern: pattern))
      let (a, b) = (fast[Int(pattern)], portable[Int(pattern)])
      if expected.isNaN {
        #expect(a.isNaN && b.isNaN)
      } else {
        #expect(a.bitPattern == expected.bitPattern && b.bitPattern == expected.bitPattern)
      }
    }
    var again = [UInt16](repeating: 0, count: patterns.count)
    muster_half_from_float(fast, &again, fast.count)
    for pattern in patterns where !Float16(bitPattern: pattern).isNaN { #expect(again[Int(pattern)] == pattern) }
  }

  @Test("Floats are rounded to halves as the language itself rounds, at any length")
  func toHalves() {
    var random = SeededGenerator(seed: 3)
    var values = Self.interesting
    for _ in 0..<20_000 {
      values.append(Float(bitPattern: UInt32.random(in: 0 ... .max, using: &random)))
      values.append(Float.random(in: -4...4, using: &random) * 0x1p-14)
    }
    var fast = [UInt16](repeating: 0, count: values.count)
    var portable = fast
    muster_half_from_float(values, &fast, values.count)
    muster_half_from_float_portable(values, &portable, values.count)
    for (index, value) in values.enumerated() {
      let expected = Float16(value)
      if expected.isNaN {
        #expect(Float16(bitPattern: fast[index]).isNaN && fast[index] == portable[index])
      } else {
        #expect(fast[index] == expected.bitPattern && portable[index] == expected.bitPattern, "\(value)")
      }
    }
  }

  @Test("bfloat16 is the upper half of a float, rounded to nearest, ties to even")
  func brains() throws {
    // Expected bits worked out by hand.
    let cases: [(UInt32, UInt16)] = [
      (0x3f80_0000, 0x3f80), (0x3f80_8000, 0x3f80), (0x3f81_8000, 0x3f82), (0x3f80_8001, 0x3f81), (0x3f80_7fff, 0x3f80),
      (0x7f7f_ffff, 0x7f80), (0xff80_0000, 0xff80), (0x0000_0001, 0x0000), (0x8000_8001, 0x8001), (0x7f80_0001, 0x7fc0),
    ]
    let floats = cases.map { Float(bitPattern: $0.0) }
    var brains = [UInt16](repeating: 0, count: cases.count)
    muster_brain_from_float(floats, &brains, floats.count)
    #expect(brains == cases.map(\.1))
    #expect(try Tensor(name: "t", shape: [2], floats: [1.5, -3.25], dtype: .bf16).floats() == [1.5, -3.25])
  }

  @Test("A double is rounded once on its way to a half")
  func roundsOnce() {
    // 1 + 2^-11 lies midway between two halves. The rest decides, but rounding to float first loses it.
    let values: [Double] = [1 + 0x1p-11 + 0x1p-40, 1 + 0x3p-11 - 0x1p-40, -(1 + 0x1p-11 + 0x1p-40), 1e300, -0.0, 0x1p-25 + 0x1p-70]
    var halves = [UInt16](repeating: 0, count: values.count)
    halves.withUnsafeMutableBytes { raw in values.withUnsafeBufferPointer { Conversion.store($0, as: .f16, into: raw) } }
    #expect(halves == values.map { Float16($0).bitPattern })
    #expect(Float16(bitPattern: halves[0]) > 1 && Float16(Float(values[0])) == 1)
  }

  @Test("Loading and storing agree for every floating-point dtype, also from odd addresses", arguments: [DType.f64, .f32, .f16, .bf16])
  func roundTrips(dtype: DType) {
    let values: [Double] = (0..<3000).map { Double($0 % 256) - 128 }
    let count = values.count
    var bytes = [UInt8](repeating: 0, count: count * dtype.byteSize + 1)
    bytes.withUnsafeMutableBytes { raw in
      values.withUnsafeBufferPointer { Conversion.store($0, as: dtype, into: UnsafeMutableRawBufferPointer(rebasing: raw[1...])) }
    }
    var doubles = [Double](repeating: .nan, count: count)
    var floats = [Float](repeating: .nan, count: count)
    bytes.withUnsafeBytes { raw in
      let data = UnsafeRawBufferPointer(rebasing: raw[1...])
      doubles.withUnsafeMutableBufferPointer { Conversion.load(data, dtype, into: $0) }
      floats.withUnsafeMutableBufferPointer { Conversion.load(data, dtype, into: $0) }
    }
    #expect(doubles == values)
    #expect(floats == values.map(Float.init))
  }

  @Test("Infinities and NaNs are found wherever they are", arguments: [DType.f64, .f32, .f16, .bf16])
  func nonFinite(dtype: DType) throws {
    for bad in [Float.infinity, -.infinity, .nan] {
      for place in [0, 1, 17, 99] {
        var values = [Float](repeating: -65504, count: 100)
        if dtype == .bf16 { values = values.map { _ in -0x1.fep127 } }
        let good = try Tensor(name: "t", shape: [100], floats: values, dtype: dtype)
        #expect(!good.data.withUnsafeBytes { Conversion.hasNonFinite($0, dtype) })
        values[place] = bad
        let tensor = try Tensor(name: "t", shape: [100], floats: values, dtype: dtype)
        #expect(tensor.data.withUnsafeBytes { Conversion.hasNonFinite($0, dtype) })
      }
    }
  }
}
