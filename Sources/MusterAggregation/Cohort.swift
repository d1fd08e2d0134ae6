public import MusterTensors

/// The updates of one round against their base model: what filters and combiners work on.
///
/// Updates stay in their files, and are sorted by the bytes of their paths, so nothing that follows depends on the order of their arrival.
public struct Cohort: Sendable {
  public let base: SafetensorsFile
  /// Sorted by path.
  public private(set) var updates: [Update] = []
  /// Sorted by path.
  public private(set) var refused: [Refusal] = []
  /// The base's floating-point tensors that the updates hold, in the order of the base's data. All else stays as it is in the base.
  public private(set) var tensors: [TensorInfo] = []
  /// Which of the base's tensors are state and not parameters.
  public let buffers: ModelBuffers
  /// How many threads look at it.
  let threads: Int
  /// Whether the updates are so many, or so large, that memory is given back on the way.
  let isLarge: Bool
  /// Bytes of data looked at before the fold.
  var bytesRead = 0
  /// Whether every number was seen to be finite.
  var verified = false
  /// A program's result that takes the updates' place in the fold.
  var standIn: StandIn?
  /// ‖D_i‖², once it was asked for.
  private var squaredNorms: [Double]?

  /// Opens the updates, and refuses those that do not fit the base or each other.
  ///
  /// - Parameter names: the tensors that an update must hold, no more and no less; nil: what most updates hold, at a tie those of the
  ///   first path.
  init(base: SafetensorsFile, contributions: [Contribution], names: Set<String>?, threads: Int? = nil) throws(AggregationError) {
    self.base = base
    do { buffers = try base.buffers() } catch { throw .base(path: base.path, error) }
    self.threads = threads ?? Workers.suggested(bytes: base.header.dataByteCount * contributions.count)
    let schema = base.schema
    let sorted = contributions.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
    for (previous, next) in zip(sorted, sorted.dropFirst()) where previous.path == next.path { throw .duplicatePath(next.path) }
    isLarge = base.header.dataByteCount * contributions.count > Self.mappedBytes
    for contribution in sorted {
      switch try Update.open(contribution, fitting: schema, reading: isLarge) {
      case .success(let update): updates.append(update)
      case .failure(let reason): refused.append(Refusal(path: contribution.path, reason: reason.text))
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
          "tensor \(shown(first(own.subtracting(common)) ?? "")) is not among those that are shared"
        }
      refuse(update.path, reason)
    }
    tensors = base.tensors.filter { $0.dtype.isFloatingPoint && common.contains($0.name) }
    updates = updates.map { $0.showing(tensors) }
  }

  /// Updates of so many bytes together are looked at where they lie in the page cache; more are read, slice by slice.
  @TaskLocal static var mappedBytes = 64 << 20

  /// What is folded: the updates, or a program's result in their place.
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

  /// Takes an update out of the round.
  public mutating func refuse(_ path: String, _ reason: String) {
    guard let index = updates.firstIndex(where: { $0.path == path }) else { return }
    updates.remove(at: index)
    squaredNorms?.remove(at: index)
    let place = refused.firstIndex { path.utf8.lexicographicallyPrecedes($0.path.utf8) } ?? refused.endIndex
    refused.insert(Refusal(path: path, reason: reason), at: place)
  }

  /// Shrinks (or grows) the update of this path: from now on the difference of its parameters is read times `factor`. Its buffers stay.
  public mutating func scale(_ path: String, by factor: Double) {
    guard let index = updates.firstIndex(where: { $0.path == path }) else { return }
    updates[index].scale *= factor
    squaredNorms?[index] *= factor * factor
  }

  /// Takes those out of the round who were met to be of no use.
  mutating func refuse(_ rejected: [Int: String]) {
    for (path, reason) in rejected.map({ (updates[$0].path, $1) }) { refuse(path, reason) }
  }

  /// Looks through all updates for infinities and NaNs and refuses those that hold one, unless that was done before.
  mutating func verify() {
    guard !verified else { return }
    let sums = sums(count: 0, length: CohortSlice.length(updates: updates.count)) { slice, _ in
      slice.verify()
    }
    bytesRead += sums.bytesRead
    refuse(sums.rejected)
    verified = true
  }

  /// The norms ‖D_i‖ over all shared parameters, in the order of the updates that are left: one that holds an infinity or a NaN is refused.
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

  /// The distances between the parameters of all updates. One that holds an infinity or a NaN is refused.
  ///
  /// - Parameter exactly: whether sums in Float32 over some hundred elements will not do.
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

  /// (w_i − w_r)·(w_j − w_r) over the parameters for i ≤ j, at i · n + j, in double: every number was seen to be finite before.
  mutating func products(around reference: Int) -> [Double] {
    let n = updates.count
    let sums = sums(count: n * n, length: Self.exactLength(updates: n)) { slice, sums in
      guard !slice.isBuffer else { return }
      slice.rows(differences: true)?.block.addProducts(around: reference, to: sums)
    }
    bytesRead += sums.bytesRead
    return sums.values
  }

  /// A block of rows that was converted to double stays in the nearest cache.
  private static func exactLength(updates n: Int) -> Int { max(64, min(512, (1 << 17) / max(1, n) / 64 * 64)) }

  static func nonFiniteReason(_ tensor: String) -> String { "tensor \(shown(tensor)) holds an infinity or a NaN" }

  /// Goes through the shared tensors slice by slice, in order, buffers included: `CohortSlice.isBuffer` tells them. The slice is valid only inside `body`.
  public func forEachSlice<Failure: Error>(_ body: (CohortSlice) throws(Failure) -> Void) throws(Failure) {
    let slice = CohortSlice(self, length: CohortSlice.capacity)
    for (index, tensor) in tensors.enumerated() { try slice.forEach(in: Piece(tensor: index, elements: 0..<tensor.elementCount), body) }
  }
}
