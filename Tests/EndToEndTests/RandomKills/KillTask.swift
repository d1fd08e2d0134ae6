import MusterSchema

/// A task of a run, and how its strategy is computed offline.
struct KillTask: Sendable {
  let id: String
  let specification: TaskSpecification

  /// - Parameter number: which of its kind; strategies take turns.
  init(_ upload: UploadTarget, _ number: Int, _ specification: TaskSpecification) {
    id = "\(upload.rawValue)-\(number)"
    var specification = specification
    specification.name = id
    specification.upload = upload
    specification.strategy = Self.strategies[(number - 1) % Self.strategies.count]
    specification.evaluate = EvaluationSpecification(every: 1, devices: true, seconds: 10)
    // Everything is kept, so that everything can be computed again.
    specification.keep = KeepSpecification(updates: 1000, checkpoints: 1000)
    self.specification = specification
  }

  private static let strategies: [StrategySpecification] = [
    .named("fedavg"),
    .composed(filters: [.init("clip", ["norm": 2])], combiner: .init("mean"), optimizer: .init("adam", ["rate": 0.1])),
    .named("uniform"),
  ]

  /// What the ledger of devices computes, for `muster aggregate --strategy`, when it is a region.
  var regional: StrategySpecification {
    guard case .composed(let filters, let combiner, _) = specification.strategy else { return specification.strategy }
    return .composed(filters: filters, combiner: combiner, optimizer: .init("replace"))
  }

  /// What central computes.
  var central: StrategySpecification {
    guard specification.upload == .region else { return specification.strategy }
    // Regions' results have weights already, see docs/aggregation.md.
    guard case .composed(_, _, let optimizer) = specification.strategy else { return .named("fedavg") }
    return .composed(filters: [], combiner: .init("mean"), optimizer: optimizer)
  }

  /// What an update weighs at central.
  func weight(of update: ContributionRecord) -> Double {
    specification.upload == .region && specification.strategy == .named("uniform") ? Double(update.devices) : update.weight
  }
}

/// Everything that is recorded of a task once it has ended.
struct KillRecords: Sendable {
  let task: KillTask
  let central: TaskDetail
  /// By region, where regions are ledgers.
  let regions: [String: RegionTask]

  struct Row: Sendable {
    var key: ContributionKey
    var contribution: ContributionRecord
  }

  /// What became of each contribution, at each ledger.
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
