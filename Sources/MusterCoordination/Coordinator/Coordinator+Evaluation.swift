import MusterParticipation
package import MusterSchema

// After aggregation: central evaluates on its own data, devices on theirs; then the round is complete.
extension Coordinator {
  mutating func aggregated(_ id: TaskID, round: Int, _ model: PublishedModel, refused: [Waiting]) {
    guard let run = tasks[id], run.stage == .aggregating, run.round == round else { return }
    for update in refused { tasks[id]?.note(update.node, "update refused: \(update.reason)") }
    commit(.published(id, round: round, model, refused: refused))
    if tasks[id]?.centralEvaluates == true { effects.append(.evaluate(id, round: round)) }
    effects.append(.roundChanged(id))
    advance(id)
  }

  func isEvaluated(_ run: TaskRun) -> Bool {
    guard let specification = run.specification, specification.evaluate.every > 0 else { return false }
    return run.round % specification.evaluate.every == 0 || run.round == specification.rounds
  }

  /// Invites devices to evaluate the round's model, if the task asks for that and a device is ready.
  private mutating func openDeviceEvaluation(_ id: TaskID) {
    guard let run = tasks[id], let specification = run.specification, let model = run.latestModel else { return }
    let count = headcount(run)
    let ready = readyRegions(run)
    let quotas = split(min(specification.cohort.size, count.total), over: ready.map(\.devices))
    guard isEvaluated(run), specification.evaluate.devices, quotas.contains(where: { $0 > 0 }) else {
      tasks[id]?.skipsDeviceEvaluation = true
      return
    }
    let opening = PhaseOpening(
      key: RoundKey(round: run.round, phase: .evaluate, attempt: 1), base: model.distributed,
      seed: Seeds.phase(specification.local, round: run.round, .evaluate), needed: quotas.reduce(0, +), minimum: 0,
      deadline: now.advanced(bySeconds: specification.evaluate.seconds),
      cohort: Dictionary(uniqueKeysWithValues: zip(ready.map(\.node), quotas).filter { $0.1 > 0 }), order: nil)
    commit(.opened(id, opening))
    inviteNext(id, .evaluation)
  }

  mutating func evaluated(_ id: TaskID, round: Int, _ metrics: [String: Double]) {
    guard let run = tasks[id], run.models.contains(where: { $0.round == round }) else { return }
    commit(.evaluated(id, round: round, metrics: metrics.filter { $0.value.isFinite }))
    effects.append(.roundChanged(id))
    advance(id)
  }

  /// Evaluates the newest model now, at an operator's request.
  mutating func evaluateNow(_ id: TaskID) {
    guard let run = tasks[id], let model = run.latestModel, model.kept else { return }
    effects.append(.evaluate(id, round: model.round))
  }

  mutating func followEvaluation(_ id: TaskID) {
    if let run = tasks[id], run.evaluation == nil, !run.skipsDeviceEvaluation { openDeviceEvaluation(id) }
    if tasks[id]?.evaluation?.isClosed == false { follow(id, .evaluation) }
    guard let run = tasks[id], run.stage == .evaluating, !run.centralEvaluates, run.evaluation?.isClosed ?? true else { return }
    completeRound(id)
  }

  private mutating func completeRound(_ id: TaskID) {
    guard let run = tasks[id], let specification = run.specification, let train = run.train, let model = run.latestModel else { return }
    let record = RoundRecord(
      round: run.round, attempts: run.attempt, base: run.master(of: train.base.digest), result: model.digest,
      strategy: specification.strategy,
      updates: fates(train, run.refused), evaluations: run.evaluation.map { fates($0, [:]) } ?? [], missed: missedTraining(run, train),
      metrics: run.centralMetrics, deviceMetrics: run.evaluation.flatMap { Self.weighted(Array($0.accepted.values)) },
      seconds: now.seconds(since: run.roundOpened))
    recordMissedEvaluations(id)
    complete(id, record)
    effects.append(.collect)
    effects.append(.roundChanged(id))
    if let why = stopReason(id) { end(id, .completed, why) } else { advance(id) }
  }

  func stopReason(_ id: TaskID) -> String? {
    guard let run = tasks[id], let specification = run.specification else { return nil }
    if let stop = specification.stop, let best = run.progress.best {
      if best.since == 0, stop.isReached(by: best.value) {
        return "\(stop.metric) reached \(readable(best.value)) in round \(run.round)"
      }
      if let patience = stop.patience, best.since >= patience {
        return "\(stop.metric) did not improve in \(patience) evaluations; best \(readable(best.value))"
      }
    }
    guard run.round >= specification.rounds else { return nil }
    return (specification.rounds == 1 ? "the one round is done" : "all \(specification.rounds) rounds are done") + unreported(run)
  }

  /// Metrics over devices: the mean of each metric over the evaluations that report it, weighted by samples. Always finite.
  package static func weighted(_ evaluations: [ContributionRecord]) -> [String: Double]? {
    var reports: [String: [(value: Double, weight: Double)]] = [:]
    for evaluation in evaluations.sorted(by: { $0.path < $1.path }) where evaluation.weight.isFinite && evaluation.weight > 0 {
      for (name, value) in evaluation.metrics where value.isFinite { reports[name, default: []].append((value, evaluation.weight)) }
    }
    return reports.isEmpty ? nil : reports.mapValues(mean)
  }

  /// Divides the weights into shares before it multiplies: a value and a weight that are each in range can have a product that is not.
  private static func mean(_ reports: [(value: Double, weight: Double)]) -> Double {
    let largest = reports.reduce(0) { max($0, $1.weight) }
    let total = reports.reduce(0) { $0 + $1.weight / largest }
    let mean = reports.reduce(0) { $0 + $1.value * ($1.weight / largest / total) }
    // Rounding must not carry a mean of very large numbers out of the range of the values.
    let values = reports.map(\.value)
    return min(max(mean, values.min() ?? mean), values.max() ?? mean)
  }
}
