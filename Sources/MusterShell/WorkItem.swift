package import MusterCoordination
import MusterParticipation
package import MusterSchema

/// Distinguishes the pieces of a server's long work: work for the next round, phase or attempt must not be mistaken for work that still
/// runs.
package struct WorkKey: Hashable, Sendable {
  package var kind: Coordinator.Work
  package var task: TaskID
  /// At a region: the order from above that the work is for. At central only the round matters.
  package var roundKey: RoundKey
  /// The number of contributions that it aggregates. A round that was reopened for more of them is aggregated again, while the report of
  /// the first aggregation may still be on its way.
  package var contributions = 0

  package var round: Int { roundKey.round }
}

/// A piece of a server's long work.
package protocol WorkItem: Sendable {
  var key: WorkKey { get }
}

/// One piece of central's long work, with everything that it needs copied out of the machine.
package struct CentralWorkItem: WorkItem {
  package let key: WorkKey
  package let specification: TaskSpecification
  /// The model to evaluate, or the base to aggregate onto.
  package let base: Digest?
  /// The state of the server optimizer after the round that made the base.
  package let state: Digest?
  /// The frozen set, sorted by path.
  package let contributions: [ContributionRecord]

  /// Whether the contributions come from regions, which have aggregated them already.
  package var isRegional: Bool { specification.upload == .region }

  init?(_ kind: Coordinator.Work, _ task: TaskID, _ round: Int, _ machine: Coordinator, faults: PlantedFaults = []) {
    guard let run = machine.tasks[task], let specification = run.specification else { return nil }
    self.specification = specification
    var count = 0
    switch kind {
    case .initialize:
      base = nil
      state = nil
      contributions = []
    case .aggregate:
      guard let frozen = run.frozenUpdates else { return nil }
      base = frozen.base
      state = run.models.last { $0.digest == frozen.base }?.state
      contributions = frozen.contributions.planted(faults)
      count = frozen.contributions.count
    case .evaluate:
      guard let model = run.models.last(where: { $0.round == round }) else { return nil }
      base = model.digest
      state = nil
      contributions = []
    }
    key = WorkKey(kind: kind, task: task, roundKey: .central(round), contributions: count)
  }

  /// The aggregation of a finished round, for a replay; `nil` if that round made no model.
  ///
  /// - Parameter state: the state of the server optimizer after the round that made the base.
  package init?(replaying record: RoundRecord, of task: TaskID, _ specification: TaskSpecification, state: Digest?) {
    guard record.result != nil else { return nil }
    key = WorkKey(kind: .aggregate, task: task, roundKey: .central(record.round), contributions: record.updates.count)
    self.specification = specification
    base = record.base
    self.state = state
    contributions = record.updates
  }
}

/// A region's frozen set, copied out of the machine, to be combined into one contribution.
package struct RegionWorkItem: WorkItem {
  package let key: WorkKey
  package let strategy: StrategySpecification
  package let base: Digest
  /// If it is not float32, devices send differences, and the region sends a difference in float32.
  package let encoding: EncodingSpecification
  /// Sorted by path.
  package let contributions: [ContributionRecord]

  init?(_ task: TaskID, _ machine: Coordinator, faults: PlantedFaults = []) {
    guard let run = machine.tasks[task], let key = run.order?.key, let frozen = run.frozenUpdates else { return nil }
    self.key = WorkKey(kind: .aggregate, task: task, roundKey: key, contributions: frozen.contributions.count)
    strategy = run.descriptor.strategy ?? .named("fedavg")
    base = frozen.base
    encoding = run.descriptor.encoding
    contributions = frozen.contributions.planted(faults)
  }
}

extension WorkKey {
  /// Whether the machine would still use the result of the work.
  package func isWanted(by machine: Coordinator) -> Bool {
    machine.takes(kind, of: task, round: round, contributions: contributions)
      && machine.tasks[task]?.order.map { $0.key == roundKey } ?? true
  }

  /// Tells the machine what the work waits for.
  package func delayed(_ reason: String) -> Coordinator.Event { .workDelayed(task, kind, round: round, reason: reason) }

  /// Tells the machine that the work is given up.
  package func failed(_ reason: String) -> Coordinator.Event { .workFailed(task, kind, round: round, key: roundKey, reason: reason) }

  /// The key under which a queue knows the work.
  func planted(_ faults: PlantedFaults) -> WorkKey {
    faults.contains(.workKeyHasNoRound) ? WorkKey(kind: kind, task: task, roundKey: .central(0)) : self
  }
}

extension RoundKey {
  fileprivate static func central(_ round: Int) -> RoundKey { RoundKey(round: round, phase: .train, attempt: 0) }
}

extension [ContributionRecord] {
  fileprivate func planted(_ faults: PlantedFaults) -> [ContributionRecord] {
    faults.contains(.foldsWithoutTheLast) && count > 1 ? Array(dropLast()) : self
  }
}
