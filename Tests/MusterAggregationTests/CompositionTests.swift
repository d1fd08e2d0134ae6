import MusterAggregation
import MusterTensors
import Testing

/// Rules as an outside package would write them, with public API only.
@Suite("Strategies of one's own")
struct CompositionTests {
  /// Scales every update down to a norm of at most `limit`.
  private struct Clip: Filter {
    let limit: Double

    func apply(to cohort: inout Cohort) throws(AggregationError) {
      var squares = [Double](repeating: 0, count: cohort.updates.count)
      var values = [Double](repeating: 0, count: CohortSlice.capacity)
      cohort.forEachSlice { slice in
        for index in slice.updates.indices {
          values.withUnsafeMutableBufferPointer { slice.difference(of: index, into: $0) }
          for value in values[0..<slice.count] { squares[index] += value * value }
        }
      }
      for (update, square) in zip(cohort.updates, squares) { cohort.scale(update.path, by: min(1, limit / square.squareRoot())) }
    }
  }

  /// Combines slice by slice, over all updates at once.
  private struct Largest: Combiner, SliceCombiner {
    func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner { self }

    func combine(_ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>) {
      var values = [Double](repeating: 0, count: slice.count)
      for i in 0..<slice.count { difference[i] = -.infinity }
      for index in slice.updates.indices {
        values.withUnsafeMutableBufferPointer { slice.difference(of: index, into: $0) }
        for i in 0..<slice.count { difference[i] = max(difference[i], values[i]) }
      }
    }
  }

  /// Looks at the whole cohort first, chooses one update and refuses the others.
  private struct Heaviest: Combiner {
    var readsAhead: Bool { true }

    func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner {
      let heaviest = cohort.updates.max { $0.weight < $1.weight }
      for update in cohort.updates where update.path != heaviest?.path { cohort.refuse(update.path, "not the heaviest") }
      return try Mean(.uniform).prepare(&cohort)
    }
  }

  private struct HalfStep: ServerOptimizer {
    func step(
      _ parameters: UnsafeMutableBufferPointer<Double>, by difference: UnsafeBufferPointer<Double>,
      memory: [UnsafeMutableBufferPointer<Double>], slice: CohortSlice
    ) {
      for i in 0..<slice.count { parameters[i] += difference[i] / 2 }
    }
  }

  @Test("Filters, combiners and optimizers are freely combined")
  func combine() throws {
    let round = try Round()
    try round.base(tensor("w", [1, 1]))
    let updates = [
      try round.update("a", weight: 1, tensor("w", [4, 5])), try round.update("b", weight: 5, content: "delta", tensor("w", [-0.6, 0.8])),
      try round.update("c", weight: 9, tensor("w", [1, .nan])),
    ]
    // a's difference is (3, 4) with norm 5, b's (−0.6, 0.8) with norm 1.
    try round.aggregate(updates, Strategy(filters: [Clip(limit: 2.5)], combiner: Largest()))
    #expect(try round.floats("w") == [2.5, 3])
    try round.aggregate(updates, Strategy(combiner: Largest(), optimizer: HalfStep()))
    #expect(try round.floats("w") == [2.5, 3])
    let result = try round.aggregate(updates, Strategy(filters: [Clip(limit: 0.5)], combiner: Heaviest(), optimizer: HalfStep()))
    #expect(try round.floats("w") == [0.85, 1.2])
    #expect(result.accepted == ["b"])
    #expect(result.refused.map(\.reason) == ["not the heaviest", "tensor \"w\" holds an infinity or a NaN"])
  }
}
