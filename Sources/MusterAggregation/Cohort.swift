public import MusterTensors

/// The updates of one round against their base model: what filters and combiners work on.
///
/// Updates are memory-mapped and sorted by the bytes of their paths, so nothing that follows depends on the order of their arrival.
public struct Cohort: Sendable {
  public let base: SafetensorsFile
  /// Sorted by path.
  public private(set) var updates: [Update] = []
  /// Sorted by path.
  public private(set) var refused: [Refusal] = []
  /// The base's floating-point tensors that the updates hold, in the order of the base's data. All else stays as it is in the base.
  public private(set) var tensors: [TensorInfo] = []

  /// Opens the updates, and refuses those that do not fit the base or each other.
  ///
  /// - Parameter names: the tensors that an update must hold, no more and no less; nil: what most updates hold, at a tie those of the
  ///   first path.
  init(base: SafetensorsFile, contributions: [Contribution], names: Set<String>?) throws(AggregationError) {
    self.base = base
    let schema = base.schema
    let sorted = contributions.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
    for (previous, next) in zip(sorted, sorted.dropFirst()) where previous.path == next.path { throw .duplicatePath(next.path) }
    for contribution in sorted {
      switch Update.open(contribution, fitting: schema) {
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
    for index in updates.indices {
      let byName = Dictionary(updates[index].file.tensors.map { ($0.name, $0) }) { first, _ in first }
      updates[index].tensors = tensors.compactMap { byName[$0.name] }
    }
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
    let place = refused.firstIndex { path.utf8.lexicographicallyPrecedes($0.path.utf8) } ?? refused.endIndex
    refused.insert(Refusal(path: path, reason: reason), at: place)
  }

  /// Shrinks (or grows) the update of this path: from now on its difference is read times `factor`.
  public mutating func scale(_ path: String, by factor: Double) {
    guard let index = updates.firstIndex(where: { $0.path == path }) else { return }
    updates[index].scale *= factor
  }

  /// Looks through all updates for infinities and NaNs and refuses those that hold one.
  ///
  /// - Returns: the bytes looked at.
  mutating func refuseNonFinite() -> Int {
    var bytes = 0
    for update in updates {
      bytes += update.file.header.dataByteCount
      if let tensor = update.file.nonFiniteTensor() { refuse(update.path, Self.nonFiniteReason(tensor)) }
    }
    return bytes
  }

  static func nonFiniteReason(_ tensor: String) -> String { "tensor \(shown(tensor)) holds an infinity or a NaN" }

  /// Goes through the shared tensors slice by slice, in order. The slice is valid only inside `body`.
  public func forEachSlice<Failure: Error>(_ body: (CohortSlice) throws(Failure) -> Void) throws(Failure) {
    let slice = CohortSlice(self)
    for index in tensors.indices { try slice.forEach(inTensor: index, body) }
  }
}
