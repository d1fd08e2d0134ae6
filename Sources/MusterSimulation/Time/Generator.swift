/// The simulation's only source of randomness: SplitMix64 (Steele, Lea and Flood, 2014), seeded, with draws in the order of the history.
package struct Generator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = Generator.mix(seed &+ 0x5851_f42d_4c95_7f2d) }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    return Generator.mix(state)
  }

  static func mix(_ value: UInt64) -> UInt64 {
    var z = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// A value in 0..<1.
  mutating func fraction() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// True with the given probability.
  mutating func chance(_ probability: Double) -> Bool { probability > 0 && fraction() < probability }

  mutating func within(_ range: ClosedRange<Int64>) -> Int64 {
    let width = UInt64(bitPattern: range.upperBound &- range.lowerBound) &+ 1
    return width == 0 ? Int64(bitPattern: next()) : range.lowerBound &+ Int64(bitPattern: next() % width)
  }

  mutating func within(_ range: ClosedRange<Int>) -> Int { Int(within(Int64(range.lowerBound)...Int64(range.upperBound))) }

  mutating func pick<Element>(_ elements: [Element]) -> Element? {
    elements.isEmpty ? nil : elements[within(0...(elements.count - 1))]
  }
}
