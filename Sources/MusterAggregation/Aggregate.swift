internal import MusterTensors

/// Folds a round's updates into the next model.
///
/// Updates stay in their files and are read slice by slice, so memory does not grow with their number or size; means and rules on single
/// elements read each update once. The same base, updates, state and strategy give the same bytes, regardless of the order of the
/// updates and the number of threads. An update is refused, and the others still count, if it cannot be read, does not fit the base,
/// holds an infinity or a NaN, or holds other tensors than `names`.
///
/// Blocks until the result is written: call it off the cooperative pool.
///
/// - Parameters:
///   - base: path of the model that the round started from. The result has its dtypes, and keeps its integer tensors and the tensors that
///     the updates do not hold.
///   - updates: the frozen set of the round.
///   - strategy: filters, combiner and server optimizer.
///   - names: the tensors that an update must hold; `nil` takes the set of tensors that most updates hold.
///   - output: path of the new model, which appears whole or not at all.
///   - metadata: metadata of the new model. The base's declaration of buffers is added unless it has one.
///   - durable: `false` does not wait for the disk; the caller then makes the files durable.
///   - stateIn: path of the server optimizer's state of the previous round; with `nil` the optimizer starts from zeros.
///   - stateOut: path for the optimizer's state after this round, written just before `output` appears; `nil` discards it. An optimizer
///     without `ServerOptimizer.memory` writes nothing.
///   - threads: number of threads; `nil` takes one below 4 MiB of updates, otherwise two if there are two processors.
/// - Throws: `AggregationError`, also when no update is left. A file that was at `output` before is then unchanged.
public func aggregate(
  base: String, updates: [StoredUpdate], strategy: Strategy, names: Set<String>? = nil, output: String,
  metadata: [String: String] = [:], durable: Bool = true, stateIn: String? = nil, stateOut: String? = nil, threads: Int? = nil
) throws(AggregationError) -> AggregationResult {
  let start = ContinuousClock.now
  let file: SafetensorsFile
  do { file = try SafetensorsFile(path: base) } catch { throw .base(path: base, error) }
  var checked = try Cohort(base: file, updates: updates, names: names, threads: threads)
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
    if let standIn = cohort.standIn, let reason = outcome.rejected[0] {
      throw .external(rule: standIn.rule, "its result cannot be used: \(reason)")
    }
    if outcome.rejected.isEmpty {
      return AggregationResult(
        accepted: cohort.updates.map(\.path), refused: cohort.refused, weight: cohort.updates.reduce(0) { $0 + $1.weight },
        bytesRead: cohort.bytesRead + outcome.bytesRead, duration: ContinuousClock.now - start, writing: outcome.writing / cohort.threads)
    }
    // Rare: some updates turn out unusable only while folding. That pass ran to the end to find all of them; the next one leaves them out.
    checked.bytesRead = cohort.bytesRead + outcome.bytesRead
    for (index, reason) in outcome.rejected { checked.refuse(cohort.updates[index].path, reason) }
  }
}

/// Built-in steps that find infinities and NaNs themselves, through `Cohort.norms()` or `Cohort.distances(exactly:)`.
protocol SelfVerifying {}
