internal import MusterTensors

/// Folds a round's updates into the next model.
///
/// Updates are mapped, not loaded, and read slice by slice, each once by means and rules on single elements: memory does not grow with
/// their number or size. The same base, contributions, state and strategy give the same bytes, in whatever order the contributions come
/// and however many threads work. An update that cannot be read, does not fit the base, disagrees with the others about the tensors it
/// holds, or has an infinity or a NaN is refused, and the rest counts.
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
///   - metadata: the new model's, beside the declaration of buffers, which is the base's.
///   - durable: false does not wait for the disk: for a caller that makes the files durable itself.
///   - stateIn: path of what the server optimizer remembers from the round before; nil: it begins anew.
///   - stateOut: where what it remembers from this round goes, just before `output` appears. Nothing is written for an optimizer that
///     remembers nothing, see `ServerOptimizer.memory`; nil: it is forgotten.
///   - threads: how many work; nil: two for big models where there are two processors.
/// - Throws: `AggregationError`, also when no update is left. Then what was at `output` is untouched.
public func aggregate(
  base: String, contributions: [Contribution], strategy: Strategy, names: Set<String>? = nil, output: String,
  metadata: [String: String] = [:], durable: Bool = true, stateIn: String? = nil, stateOut: String? = nil, threads: Int? = nil
) throws(AggregationError) -> AggregationResult {
  let start = ContinuousClock.now
  let file: SafetensorsFile
  do { file = try SafetensorsFile(path: base) } catch { throw .base(path: base, error) }
  var checked = try Cohort(base: file, contributions: contributions, names: names, threads: threads)
  let state = try OptimizerState(strategy.optimizer.memory, from: stateIn, base: file)
  while true {
    var cohort = checked
    for filter in strategy.filters where !cohort.updates.isEmpty {
      if !(filter is any SelfVerifying) { cohort.verify() }
      guard !cohort.updates.isEmpty else { break }
      try filter.apply(to: &cohort)
    }
    if strategy.combiner.readsAhead, !(strategy.combiner is any SelfVerifying) { cohort.verify() }
    guard !cohort.updates.isEmpty else { throw .nothingAccepted(cohort.refused) }
    if let problem = strategy.combiner.problem(updates: cohort.updates.count) { throw .tooFewUpdates(problem, cohort.refused) }
    let combiner = try strategy.combiner.prepare(&cohort)
    guard !cohort.updates.isEmpty else { throw .nothingAccepted(cohort.refused) }
    let metadata = metadata.merging(cohort.buffers.metadata) { own, _ in own }
    let fold = Fold(cohort: cohort.folded, combiner: combiner, optimizer: strategy.optimizer, state: state)
    let outcome = try fold.write(to: output, metadata: metadata, durable: durable, stateOut: stateOut)
    if let standIn = cohort.standIn, let reason = outcome.rejected[0] { throw .external(rule: standIn.rule, "of its result, \(reason)") }
    if outcome.rejected.isEmpty {
      return AggregationResult(
        accepted: cohort.updates.map(\.path), refused: cohort.refused, weight: cohort.updates.reduce(0) { $0 + $1.weight },
        bytesRead: cohort.bytesRead + outcome.bytesRead, duration: ContinuousClock.now - start, writing: outcome.writing / cohort.threads)
    }
    // Rare: who cannot count shows only while folding. That pass went on to the end to find all of them; the next is without them.
    checked.bytesRead = cohort.bytesRead + outcome.bytesRead
    for (index, reason) in outcome.rejected { checked.refuse(cohort.updates[index].path, reason) }
  }
}

/// Ours that find numbers that are not finite on their way, through `Cohort.norms()` or `Cohort.distances(exactly:)`.
protocol SelfVerifying {}
