/// The first step of a strategy: looks at the updates, refuses some or scales them.
public protocol Filter: Sendable {
  /// Whether its verdict on one update depends on the others. Such a filter cannot work at a region, which sees some of them.
  var looksAtOthers: Bool { get }

  /// Every number in the cohort is finite here.
  func apply(to cohort: inout Cohort) throws(AggregationError)
}

extension Filter {
  public var looksAtOthers: Bool { true }
}

/// The second step: makes one difference out of those of all updates.
public protocol Combiner: Sendable {
  /// Whether `prepare` reads the updates' numbers; then all of them are checked to be finite before.
  var readsAhead: Bool { get }

  /// How regions' results can be combined as if they were updates; nil when they cannot.
  var composition: Composition? { get }

  /// What is wrong with so few updates, in a sentence that begins with the rule's name; nil when they are enough.
  func problem(updates: Int) -> String?

  /// Decides what needs the whole cohort: shares, distances, a choice (the others are refused). What is left to do slice by slice is the
  /// answer. The cohort is not empty, and keeps at least one update.
  func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner
}

extension Combiner {
  public var readsAhead: Bool { false }
  public var composition: Composition? { nil }
  public func problem(updates: Int) -> String? { nil }
}

/// What a region's result weighs where the results of regions are combined by their mean.
public enum Composition: Sendable {
  /// The sum of its updates' weights.
  case weight
  /// The number of its updates.
  case count
}

/// A combiner that is ready for one cohort. Each element's answer depends on that element of the updates alone. Several threads ask it for
/// different slices at once.
public protocol SliceCombiner: Sendable {
  /// - Parameters:
  ///   - slice: gives the updates' differences.
  ///   - difference: gets `slice.count` elements; zeros before.
  func combine(_ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>)

  /// The same for a slice of a buffer (`slice.isBuffer`), of which a mean over updates is wanted. Without it, `combine` is asked. What comes
  /// out is brought into the range of what the updates say, and replaces the base's numbers: no server optimizer sees it.
  func combineBuffer(_ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>)
}

extension SliceCombiner {
  public func combineBuffer(_ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>) { combine(slice, into: difference) }
}

/// The last step: moves the model's parameters by the combined difference. It is not asked about buffers. Several threads ask it for different slices at once.
public protocol ServerOptimizer: Sendable {
  /// The names of what it remembers from round to round: each stands for as many numbers as the model has. They go through a file, see
  /// `aggregate`, and begin as zeros.
  var memory: [String] { get }

  /// - Parameters:
  ///   - parameters: `slice.count` elements of the base model, w; the next model's afterwards.
  ///   - difference: as many, combined.
  ///   - memory: as many of each of its memories, to read and to change.
  ///   - slice: tells which tensor and elements they are.
  func step(
    _ parameters: UnsafeMutableBufferPointer<Double>, by difference: UnsafeBufferPointer<Double>,
    memory: [UnsafeMutableBufferPointer<Double>], slice: CohortSlice)
}

extension ServerOptimizer {
  public var memory: [String] { [] }
}
