import MusterParticipation
package import MusterSchema

/// What the finished rounds of a task leave in the machine: only what later rounds need, in a size that does not grow with their number.
///
/// The history has the rounds themselves.
package struct TaskProgress: Codable, Hashable, Sendable {
  /// The last finished round.
  package var round = 0
  /// The number of finished rounds.
  package var rounds = 0
  /// At a region: the attempt of the last order.
  package var attempt = 0
  /// The models that rounds need, sorted by round: the initial one, the best and the newest. The history has all of them.
  package var models: [ModelCheckpoint] = []
  /// The first round from which all models are kept. Of earlier ones only the initial model and the best are kept.
  package var modelsSince = 0
  package var bestRound: Int?
  /// The first round whose updates are kept.
  package var updatesSince = 0
  /// Names of metrics that evaluations reported, sorted.
  package var reported: [String] = []
  /// The newest evaluation.
  package var evaluated: Evaluated?
  /// For the metric that can stop the task: the best value, and the number of evaluations since without an improvement.
  package var best: Best?
  /// At a region that aggregates: the grant from which its devices' tickets derive.
  package var grant: Grant?
  /// At a region that aggregates: digests of the contributions that counted in finished orders of the last round. A further attempt at the
  /// round is another order, and a device may send it the same contribution again.
  package var settled: [String: Digest]?

  package struct Evaluated: Codable, Hashable, Sendable {
    package var round: Int
    package var metrics: [String: Double]
  }

  package struct Best: Codable, Hashable, Sendable {
    package var value: Double
    package var since: Int
  }
}

extension TaskProgress {
  /// Number of newest models that are kept in any case, because an operator may ask for an evaluation of one of them.
  private static let mostNewest = 5
  /// Bounded, so that names that a hostile trainer makes up cannot fill the memory.
  private static let mostReported = 256

  /// Notes that a round at the root is over.
  mutating func complete(_ record: RoundRecord, _ specification: TaskSpecification) {
    round = record.round
    rounds += 1
    updatesSince = record.round - specification.keep.updates + 1
    if let index = models.lastIndex(where: { $0.round == record.round }) { models[index].deviceMetrics = record.deviceMetrics }
    if let stop = specification.stop, let value = record.evaluation?[stop.metric], value.isFinite {
      if let best, !stop.isBetter(value, than: best.value) {
        self.best = Best(value: best.value, since: best.since + 1)
      } else {
        best = Best(value: value, since: 0)
      }
    }
    let names = Set(reported).union(models.compactMap(\.evaluation).flatMap { $0.filter(\.value.isFinite).keys })
    reported = Array(names.sorted().prefix(Self.mostReported))
    evaluated = newestEvaluation
    bestRound = TaskMetric.best(of: models, stop: specification.stop)?.round
    modelsSince = record.round - max(1, specification.keep.checkpoints) + 1
    let needed = max(modelsSince, record.round - Self.mostNewest + 1)
    models = models.filter { $0.kept && ($0.round == 0 || $0.round == bestRound || $0.round >= needed) }
  }

  /// Notes that a region's order is over. Training and evaluation of one round are two orders.
  mutating func settle(_ record: RoundRecord, keepingUpdates kept: Int, grant: Grant?) {
    if record.round != round || rounds == 0 {
      rounds += 1
      settled = [:]
    }
    round = record.round
    for (phase, list) in [(Phase.train, record.updates), (.evaluate, record.evaluations)] {
      for contribution in list { settled?[Self.key(phase, contribution.path)] = contribution.digest }
    }
    attempt = record.attempts
    updatesSince = record.round - kept + 1
    self.grant = grant ?? self.grant
  }

  /// The digest of a path's contribution that counted in a finished order of the last round.
  func settled(_ phase: Phase, _ path: NodePath) -> Digest? { settled?[Self.key(phase, path)] }

  private static func key(_ phase: Phase, _ path: NodePath) -> String { "\(phase.rawValue)/\(path)" }

  /// The newest evaluation of a model in ``models``, or ``evaluated`` if that is from a later round.
  var newestEvaluation: Evaluated? {
    guard let model = models.last(where: { $0.evaluation != nil }), let metrics = model.evaluation,
      model.round >= evaluated?.round ?? 0
    else { return evaluated }
    return Evaluated(round: model.round, metrics: metrics)
  }
}
