import MusterModels
import Testing

@Suite struct SplitMix64Tests {
  @Test("The numbers are those of the published SplitMix64")
  func published() {
    // From the author's C code (prng.di.unimi.it/splitmix64.c) with x = 1234567, as listed on rosettacode.org.
    var generator = SplitMix64(seed: 1_234_567)
    let numbers = (0..<5).map { _ in generator.next() }
    #expect(
      numbers == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423, 4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
      ])
  }

  @Test("A shuffle keeps every element and depends on the seed")
  func shuffle() {
    func order(_ seed: UInt64) -> [Int32] {
      var generator = SplitMix64(seed: seed)
      var values = (0..<Int32(100)).map { $0 }
      generator.shuffle(&values)
      return values
    }
    #expect(order(1).sorted() == (0..<Int32(100)).map { $0 })
    #expect(order(1) == order(1))
    #expect(order(1) != order(2))
  }

  @Test("Numbers stay below their bound and in the unit interval")
  func ranges() {
    var generator = SplitMix64(seed: 3)
    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<7000 { counts[generator.below(7)] += 1 }
    #expect(counts.allSatisfy { (850...1150).contains($0) })
    #expect((0..<1000).allSatisfy { _ in (0..<1).contains(generator.unit()) })
  }
}
