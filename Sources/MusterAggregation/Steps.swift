/// The first step of a strategy: refuses or scales updates.
public protocol Filter: Sendable {
  /// Whether its decision about an update depends on the other updates. Such a filter cannot run at a region, which sees only some of them.
  var looksAtOthers: Bool { get }

  /// Refuses or scales updates of the cohort, in which every number is finite.
  func apply(to cohort: inout Cohort) throws(AggregationError)
}

extension Filter {
  public var looksAtOthers: Bool { true }
}

/// The second step of a strategy: combines the differences of all updates into one.
public protocol Combiner: Sendable {
  /// Whether `prepare` reads the updates' numbers. If so, updates that hold an infinity or a NaN are refused before. Otherwise they are
  /// found while they are combined, and the pass is repeated without them.
  var readsAhead: Bool { get }

  /// How regions' results are combined as if they were updates; `nil` if that is not possible.
  var composition: Composition? { get }

  /// Why this number of updates is too small, in a sentence that begins with the rule's name; `nil` if it is enough. Called with the smallest
  /// cohort when a task is pushed, and with the number of updates that the filters left in each round.
  func problem(updates: Int) -> String?

  /// Computes everything that needs the whole cohort, such as shares or distances, and refuses updates that are not chosen. The returned
  /// value does the rest slice by slice. The cohort is not empty, `problem(updates:)` is `nil` for it, and at least one update must be left.
  func prepare(_ cohort: inout Cohort) throws(AggregationError) -> any SliceCombiner
}

extension Combiner {
  public var readsAhead: Bool { false }
  public var composition: Composition? { nil }
  public func problem(updates: Int) -> String? { nil }
}

/// The weight of a region's result when regions' results are combined by their mean.
public enum Composition: Sendable {
  /// The sum of the weights of the region's updates.
  case weight
  /// The number of the region's updates.
  case count
}

/// A combiner that is prepared for one cohort. An element of its result depends only on that element of the updates. Several threads call
/// it at once, for different slices.
public protocol SliceCombiner: Sendable {
  /// Computes the combined difference of a slice of parameters.
  ///
  /// - Parameters:
  ///   - slice: gives the updates' differences.
  ///   - difference: receives `slice.count` elements; zeros before the call.
  func combine(_ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>)

  /// Like `combine`, for a slice of a buffer (`slice.isBuffer`), which should become a mean over the updates. The default calls `combine`.
  /// The result is clamped to the range of the updates' values and replaces the base's; no server optimizer sees it.
  func combineBuffer(_ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>)
}

extension SliceCombiner {
  public func combineBuffer(_ slice: CohortSlice, into difference: UnsafeMutableBufferPointer<Double>) { combine(slice, into: difference) }
}

/// The last step of a strategy: moves the model's parameters by the combined difference. It is not called for buffers. Several threads call
/// it at once, for different slices.
public protocol ServerOptimizer: Sendable {
  /// Names of the values that it keeps from round to round: for each name, one number per model parameter. They start as zeros and are
  /// stored in a file; see `aggregate`.
  var memory: [String] { get }

  /// Moves the parameters of one slice.
  ///
  /// - Parameters:
  ///   - parameters: `slice.count` elements of the base model w, to be changed into the next model's.
  ///   - difference: `slice.count` elements of the combined difference.
  ///   - memory: for each name in `memory`, `slice.count` elements to read and change.
  ///   - slice: says which tensor and which elements these are.
  func step(
    _ parameters: UnsafeMutableBufferPointer<Double>, by difference: UnsafeBufferPointer<Double>,
    memory: [UnsafeMutableBufferPointer<Double>], slice: CohortSlice)
}

extension ServerOptimizer {
  public var memory: [String] { [] }
}
