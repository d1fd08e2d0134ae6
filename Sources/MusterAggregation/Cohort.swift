public import MusterTensors

/// The updates of one round and their base model: the input of filters and combiners.
///
/// Updates stay in their files and are sorted by the bytes of their paths, so no result depends on the order in which they arrived.
public struct Cohort: Sendable {
  /// The model that the round started from.
  public let base: SafetensorsFile
  /// The updates that still count, sorted by path.
  public private(set) var updates: [Update] = []
  /// The updates that were refused so far, sorted by path.
  public private(set) var refused: [Refusal] = []
  /// The base's floating-point tensors that the updates hold, in the order of the base's data. All other tensors keep the base's values.
  public private(set) var tensors: [TensorInfo] = []
  /// Says which of the base's tensors are buffers: state rather than parameters.
  public let buffers: ModelBuffers
  /// Number of threads for passes over the updates.
  let threads: Int
  /// Whether the updates together exceed ``mappedBytes``; then they are read slice by slice, and memory is released on the way.
  let isLarge: Bool
  /// Bytes of data read before the fold.
  var bytesRead = 0
  /// Whether all numbers of all updates are known to be finite.
  var verified = false
  /// The result of an external rule, which replaces the updates in the fold.
  var standIn: StandIn?
  /// ‖D_i‖² of each update, once it was asked for.
  private var squaredNorms: [Double]?

  /// Opens the updates, and refuses those that do not fit the base or each other.
  ///
  /// - Parameter names: the tensors that an update must hold, no more and no less; `nil` takes the set that most updates hold, and at a tie
  ///   the one of the first path.
  init(base: SafetensorsFile, updates stored: [StoredUpdate], names: Set<String>?, threads: Int? = nil) throws(AggregationError) {
    self.base = base
    do { buffers = try base.buffers() } catch { throw .base(path: base.path, error) }
    self.threads = threads ?? Workers.suggested(bytes: base.header.dataByteCount * stored.count)
    let schema = base.schema
    let sorted = stored.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
    for (previous, next) in zip(sorted, sorted.dropFirst()) where previous.path == next.path { throw .duplicatePath(next.path) }
    isLarge = base.header.dataByteCount * stored.count > Self.mappedBytes
    for update in sorted {
      switch try Update.open(update, fitting: schema, reading: isLarge) {
      case .success(let update): updates.append(update)
      case .failure(let reason): refused.append(Refusal(path: update.path, reason: reason.text))
      }
    }
    let held = updates.map { Set($0.file.tensors.map(\.name)) }
    guard let common = names ?? Self.mostFrequent(held) else { return }
    for (update, own) in zip(updates, held) where own != common {
      let first = { (names: Set<String>) in names.min { $0.utf8.lexicographicallyPrecedes($1.utf8) } }
      let reason =
        if let missing = first(common.subtracting(own)) {
          "missing tensor \(shown(missing))"
        } else {
          "tensor \(shown(first(own.subtracting(common)) ?? "")) is not one of the shared tensors"
        }
      refuse(update.path, reason)
    }
    tensors = base.tensors.filter { $0.dtype.isFloatingPoint && common.contains($0.name) }
    updates = updates.map { $0.showing(tensors) }
  }

  /// Up to this many bytes (the base's size times the number of updates), updates are mapped; larger cohorts are read slice by slice.
  @TaskLocal static var mappedBytes = 64 << 20

  /// The cohort to fold: the updates, or the result of an external rule in their place.
  var folded: Cohort {
    guard let standIn else { return self }
    var copy = self
    copy.updates = [standIn.update]
    return copy
  }

  private static func mostFrequent(_ sets: [Set<String>]) -> Set<String>? {
    var counts: [Set<String>: Int] = [:]
    for set in sets { counts[set, default: 0] += 1 }
    let most = counts.values.max()
    return sets.first { counts[$0] == most }
  }

  /// Refuses the update of this path: it no longer counts in this round. An unknown path is ignored.
  public mutating func refuse(_ path: String, _ reason: String) {
    guard let index = updates.firstIndex(where: { $0.path == path }) else { return }
    updates.remove(at: index)
    squaredNorms?.remove(at: index)
    let place = refused.firstIndex { path.utf8.lexicographicallyPrecedes($0.path.utf8) } ?? refused.endIndex
    refused.insert(Refusal(path: path, reason: reason), at: place)
  }

  /// Scales the update of this path: from now on the difference of its parameters is multiplied by `factor`. Its buffers are not scaled.
  public mutating func scale(_ path: String, by factor: Double) {
    guard let index = updates.firstIndex(where: { $0.path == path }) else { return }
    updates[index].scale *= factor
    squaredNorms?[index] *= factor * factor
  }

  /// Refuses the updates that a pass rejected: reasons by index.
  mutating func refuse(_ rejected: [Int: String]) {
    for (path, reason) in rejected.map({ (updates[$0].path, $1) }) { refuse(path, reason) }
  }

  /// Reads all updates and refuses those that hold an infinity or a NaN. Does nothing if all numbers are already known to be finite.
  mutating func verify() {
    guard !verified else { return }
    let sums = sums(count: 0, length: CohortSlice.length(updates: updates.count)) { slice, _ in
      slice.verify()
    }
    bytesRead += sums.bytesRead
    refuse(sums.rejected)
    verified = true
  }

  /// The norms ‖D_i‖ over all shared parameters, in the order of `updates`.
  ///
  /// Refuses updates that hold an infinity or a NaN, so `updates` may be shorter afterwards.
  public mutating func norms() -> [Double] {
    while squaredNorms == nil {
      let sums = sums(count: updates.count, length: CohortSlice.length(updates: updates.count)) { slice, sums in
        guard !slice.isBuffer else { return slice.verify() }
        for index in slice.updates.indices { sums[index] += slice.squaredNorm(of: index) }
      }
      bytesRead += sums.bytesRead
      verified = true
      if sums.rejected.isEmpty { squaredNorms = sums.values }
      refuse(sums.rejected)
    }
    return (squaredNorms ?? []).map { $0.squareRoot() }
  }

  /// The squared distances between the parameters of all updates. Refuses updates that hold an infinity or a NaN.
  ///
  /// - Parameter exactly: `true` sums in `Double`; `false` may sum blocks of 256 elements in `Float`, which is faster.
  public mutating func distances(exactly: Bool = false) -> Distances {
    while true {
      let n = updates.count
      let length = exactly ? Self.exactLength(updates: n) : CohortSlice.length(updates: n)
      let sums = sums(count: n * n, length: length) { slice, sums in
        guard !slice.isBuffer else { return slice.verify() }
        slice.rows(differences: exactly)?.block.addSquaredDistances(to: sums)
      }
      bytesRead += sums.bytesRead
      verified = true
      if sums.rejected.isEmpty { return Distances(count: n, upperTriangle: sums.values) }
      refuse(sums.rejected)
    }
  }

  /// (w_i − w_r)·(w_j − w_r) over the parameters, for i ≤ j, at index i · n + j, where r is `reference`. Summed in `Double`. All numbers
  /// must already be known to be finite.
  mutating func products(around reference: Int) -> [Double] {
    let n = updates.count
    let sums = sums(count: n * n, length: Self.exactLength(updates: n)) { slice, sums in
      guard !slice.isBuffer else { return }
      slice.rows(differences: true)?.block.addProducts(around: reference, to: sums)
    }
    bytesRead += sums.bytesRead
    return sums.values
  }

  /// Slice length for exact sums: the rows of all updates, in `Double`, take about 1 MiB at most and stay in a cache near the processor.
  private static func exactLength(updates n: Int) -> Int { max(64, min(512, (1 << 17) / max(1, n) / 64 * 64)) }

  static func nonFiniteReason(_ tensor: String) -> String { "tensor \(shown(tensor)) holds an infinity or a NaN" }

  /// Visits the shared tensors slice by slice, in order, buffers (`CohortSlice.isBuffer`) included. A slice is valid only in `body`.
  public func forEachSlice<Failure: Error>(_ body: (CohortSlice) throws(Failure) -> Void) throws(Failure) {
    let slice = CohortSlice(self, length: CohortSlice.capacity)
    for (index, tensor) in tensors.enumerated() { try slice.forEach(in: Piece(tensor: index, elements: 0..<tensor.elementCount), body) }
  }
}
