/// The first step of a strategy: looks at the updates, refuses some or scales them.
public protocol Filter: Sendable {
  /// Every number in the cohort is finite here.
  func apply(to cohort: inout Cohort) throws(AggregationError)
}

/// The second step: makes one difference out of those of all updates.
public protocol Combiner: Sendable {
  /// Whether `prepare` reads the updates' numbers; then all of them are checked to be finite before.
  var readsAhead: Bool { get }

  /// Decides what needs the whole cohort: shares, distances, a choice (the others are refused). What is left to do slice by slice is the
  /// answer. The cohort is not empty, and keeps at least one update.
  func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner
}

extension Combiner {
  public var readsAhead: Bool { false }
}

/// A combiner that is ready for one cohort. Each element's answer depends on that element of the updates alone.
public protocol SliceCombiner: Sendable {
  /// - Parameters:
  ///   - slice: gives the updates' differences.
  ///   - difference: gets `slice.count` elements; zeros before.
  func combine(_ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>)
}

/// The last step: moves the model by the combined difference.
public protocol ServerOptimizer: Sendable {
  /// - Parameters:
  ///   - parameters: `slice.count` elements of the base model, w; the next model's afterwards.
  ///   - difference: as many, combined.
  ///   - slice: tells which tensor and elements they are.
  func step(_ parameters: UnsafeMutableBufferPointer<Double>, by difference: UnsafeBufferPointer<Double>, slice: CohortSlice)
}
