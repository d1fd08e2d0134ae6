/// SplitMix64 (Steele, Lea, Flood 2014), which gives initial weights, sample order and partitions.
///
/// Its numbers are the same on every machine, and it is simple to repeat in another language, as `examples/digits/compare_pytorch.py` does.
package struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  /// One stream from two seeds, those of a round and of a task: `first` XOR the first number of `second`'s stream.
  package init(_ first: UInt64, _ second: UInt64) {
    var mixer = SplitMix64(seed: second)
    self.init(seed: first ^ mixer.next())
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// A whole number in 0 ..< bound: the high half of `next() × bound`. Its bias is below bound / 2⁶⁴.
  package mutating func below(_ bound: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(bound)).high) }

  /// Uniform in [0, 1): the upper 53 bits of `next()`.
  package mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Fisher–Yates from the end: `for i in (1..<count).reversed() { swap(i, below(i + 1)) }`.
  package mutating func shuffle(_ values: inout [Int32]) {
    guard values.count > 1 else { return }
    for i in stride(from: values.count - 1, to: 0, by: -1) { values.swapAt(i, below(i + 1)) }
  }
}
