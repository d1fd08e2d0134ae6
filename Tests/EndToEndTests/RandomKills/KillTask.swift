import MusterSchema

/// A task of a run, with the strategies to compute it offline.
struct KillTask: Sendable {
  let id: String
  let specification: TaskSpecification

  /// - Parameter number: number of the task among those with the same upload target. It selects the strategy.
  init(_ upload: UploadTarget, _ number: Int, _ specification: TaskSpecification) {
    id = "\(upload.rawValue)-\(number)"
    var specification = specification
    specification.name = id
    specification.upload = upload
    specification.strategy = Self.strategies[(number - 1) % Self.strategies.count]
    specification.evaluate = EvaluationSpecification(every: 1, devices: true, seconds: 10)
    // Nothing is removed, so that everything can be computed again.
    specification.keep = KeepSpecification(updates: 1000, checkpoints: 1000)
    self.specification = specification
  }

  private static let strategies: [StrategySpecification] = [
    .named("fedavg"),
    .composed(filters: [.init("clip", ["norm": 2])], combiner: .init("mean"), optimizer: .init("adam", ["rate": 0.1])),
    .named("uniform"),
  ]

  /// The strategy of a region that is a ledger, for `muster aggregate --strategy`.
  var regional: StrategySpecification {
    guard case .composed(let filters, let combiner, _) = specification.strategy else { return specification.strategy }
    return .composed(filters: filters, combiner: combiner, optimizer: .init("replace"))
  }

  /// The strategy of central.
  var central: StrategySpecification {
    guard specification.upload == .region else { return specification.strategy }
    // The results of regions already have weights, see docs/aggregation.md.
    guard case .composed(_, _, let optimizer) = specification.strategy else { return .named("fedavg") }
    return .composed(filters: [], combiner: .init("mean"), optimizer: optimizer)
  }

  /// The weight of an update at central.
  func weight(of update: ContributionRecord) -> Double {
    specification.upload == .region && specification.strategy == .named("uniform") ? Double(update.devices) : update.weight
  }
}

/// All records of an ended task.
struct KillRecords: Sendable {
  let task: KillTask
  let central: TaskDetail
  /// The records of the regions that are ledgers.
  let regions: [String: RegionTask]

  struct Row: Sendable {
    var key: ContributionKey
    var contribution: ContributionRecord
  }

  /// The records of all contributions at all ledgers.
  var rows: [Row] {
    let ledgers = [("central", central.rounds)] + regions.sorted { $0.key < $1.key }.map { ($0.key, $0.value.rounds) }
    return ledgers.flatMap { ledger, rounds in
      rounds.flatMap { round in
        [(Phase.train, round.updates), (.evaluate, round.evaluations)].flatMap { phase, contributions in
          contributions.map { contribution in
            let path = contribution.path.description
            return Row(
              key: ContributionKey(ledger: ledger, task: task.id, round: round.round, phase: phase, path: path), contribution: contribution)
          }
        }
      }
    }
  }
}
