internal import MusterTensors

/// Folds a round's updates into the next model.
///
/// Updates are mapped, not loaded, and each is read once, slice by slice: memory does not grow with their number or size. The same base,
/// contributions and strategy give the same bytes, in whatever order the contributions come. An update that cannot be read, does not fit
/// the base, disagrees with the others about the tensors it holds, or has an infinity or a NaN is refused, and the rest counts.
///
/// Blocks for as long as it takes: call it off the cooperative pool.
///
/// - Parameters:
///   - base: path of the model that the round started from. Its dtypes are the result's; its integer tensors, and those that the updates
///     do not hold, are kept.
///   - contributions: the frozen set of the round.
///   - strategy: what to do with them.
///   - names: the tensors that an update must hold; nil: those that most updates hold.
///   - output: path of the new model; appears whole, or not at all.
///   - metadata: the new model's.
///   - durable: false does not wait for the disk: for a caller that makes the file durable itself.
/// - Throws: `AggregationError`, also when no update is left. Then what was at `output` is untouched.
public func aggregate(
  base: String, contributions: [Contribution], strategy: Strategy, names: Set<String>? = nil, output: String,
  metadata: [String: String] = [:], durable: Bool = true
) throws(AggregationError) -> AggregationResult {
  let start = ContinuousClock.now
  let file: SafetensorsFile
  do { file = try SafetensorsFile(path: base) } catch { throw .base(path: base, error) }
  let opened = try Cohort(base: file, contributions: contributions, names: names)
  var bytesRead = 0
  var checked = opened
  if !strategy.filters.isEmpty || strategy.combiner.readsAhead { bytesRead += checked.refuseNonFinite() }
  while true {
    var cohort = checked
    for filter in strategy.filters where !cohort.updates.isEmpty { try filter.apply(to: &cohort) }
    guard !cohort.updates.isEmpty else { throw .nothingAccepted(cohort.refused) }
    let combiner = try strategy.combiner.prepare(&cohort)
    var fold = Fold(cohort, combiner, strategy.optimizer)
    do { try fold.write(to: output, metadata: metadata, durable: durable) } catch { throw .output(path: output, error) }
    bytesRead += fold.slice.bytesRead
    if fold.slice.rejected.isEmpty {
      if let tensor = fold.notFinite { throw .notFinite(tensor: tensor) }
      return AggregationResult(
        accepted: cohort.updates.map(\.path), refused: cohort.refused, weight: cohort.updates.reduce(0) { $0 + $1.weight },
        bytesRead: bytesRead, duration: ContinuousClock.now - start)
    }
    // Rare: who cannot count shows only while folding. That pass went on to the end to find all of them; the next is without them.
    for (index, reason) in fold.slice.rejected { checked.refuse(cohort.updates[index].path, reason) }
  }
}
