import TestSupport
import Testing

@testable import MusterCoordination

@Suite("A sorted set whose copies share")
struct SortedSetTests {
  @Test("does what a set does, in order, whatever happens to its copies", arguments: [8, 300, 5000])
  func model(range: Int) {
    var random = SeededGenerator(seed: UInt64(range))
    var set = SortedSet<Int>()
    var model: Set<Int> = []
    var copies: [(set: SortedSet<Int>, model: Set<Int>)] = []
    for step in 0..<20_000 {
      let element = Int(random.next() % UInt64(range))
      if random.next() % 5 < 3 {
        let isNew = set.insert(element)
        #expect(isNew == model.insert(element).inserted)
      } else {
        let wasThere = set.remove(element)
        #expect(wasThere == (model.remove(element) != nil))
      }
      #expect(set.count == model.count && set.contains(element) == model.contains(element))
      if step % 2000 == 0 { copies.append((set, model)) }
    }
    for (set, model) in copies + [(set, model)] {
      #expect(Array(set) == model.sorted() && set.first == model.min() && set.isEmpty == model.isEmpty)
    }
  }
}
