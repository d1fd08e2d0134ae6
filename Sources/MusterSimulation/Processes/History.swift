package import MusterSchema

/// What a server's store keeps permanently. This is a model of the tables, simple and entirely in memory; the tests of the store compare
/// the two.
package struct History: Sendable {
  package struct OneTask: Sendable {
    package internal(set) var rounds: [RoundRecord] = []
    package internal(set) var models: [ModelCheckpoint] = []
    package internal(set) var step: RoundState.Step?
    package internal(set) var isRetired = false
    var contributions: [Key: ContributionRecord] = [:]
    var missed: [(round: Int, phase: Phase, node: Waiting)] = []
    var updatesSince = 0
  }

  struct Key: Hashable {
    var round: Int
    var phase: Phase
    var path: NodePath
  }

  package private(set) var tasks: [TaskID: OneTask] = [:]

  package init() {}

  package mutating func apply(_ change: HistoryChange) {
    let id = change.task
    switch change {
    case .began(_, _, _, let isOver):
      if !isOver, tasks[id]?.isRetired == true { tasks[id] = nil }
      if tasks[id] == nil { tasks[id] = OneTask() }
    case .contributed(let key, var contribution):
      contribution.fate = .accepted
      tasks[id]?.contributions[Key(round: key.round, phase: key.phase, path: key.path)] = contribution
    case .published(_, let model): tasks[id]?.models.append(model)
    case .evaluated(_, let round, let metrics):
      guard let index = tasks[id]?.models.lastIndex(where: { $0.round == round }) else { return }
      tasks[id]?.models[index].metrics = metrics
    case .completed(_, let record): tasks[id]?.complete(record)
    case .missed(_, let round, let phase, let nodes): tasks[id]?.missed += nodes.map { (round, phase, $0) }
    case .retained(_, let models, let first):
      for index in tasks[id]?.models.indices ?? 0..<0 where !models.contains(tasks[id]?.models[index].round ?? 0) {
        tasks[id]?.models[index].kept = false
      }
      tasks[id]?.updatesSince = first
    case .ended(_, let step, _): tasks[id]?.step = step
    case .happened: break
    case .retired:
      tasks[id]?.isRetired = true
      tasks[id]?.updatesSince = .max
    case .forgotten: tasks[id] = nil
    }
  }

  /// The contribution that was accepted under this key, whatever became of it.
  package func contribution(_ key: ContributionKey) -> ContributionRecord? {
    tasks[key.task]?.contributions[Key(round: key.round, phase: key.phase, path: key.path)]
  }

  /// The paths whose contributions to a phase were accepted, sorted.
  package func paths(_ task: TaskID, _ round: Int, _ phase: Phase) -> [NodePath] {
    (tasks[task]?.contributions.keys.filter { $0.round == round && $0.phase == phase } ?? []).map(\.path).sorted()
  }

  /// Blobs that the history still keeps.
  package var keptBlobs: Set<Digest> {
    var blobs: Set<Digest> = []
    for task in tasks.values {
      for model in task.models where model.kept {
        blobs.formUnion([model.digest, model.distributed.digest, model.state].compactMap { $0 })
      }
      for (key, contribution) in task.contributions where key.phase == .train && key.round >= task.updatesSince {
        blobs.insert(contribution.digest)
      }
    }
    return blobs
  }
}

extension History.OneTask {
  fileprivate mutating func complete(_ record: RoundRecord) {
    for (phase, list) in [(Phase.train, record.updates), (.evaluate, record.evaluations)] {
      for contribution in list { contributions[History.Key(round: record.round, phase: phase, path: contribution.path)] = contribution }
    }
    if let index = models.lastIndex(where: { $0.round == record.round }), let metrics = record.deviceMetrics {
      models[index].deviceMetrics = metrics
    }
    let missedBefore = missed.filter { $0.round == record.round }.map(\.node)
    missed += record.missed.map { (record.round, record.updates.isEmpty ? .evaluate : .train, $0) }
    var record = record
    if let index = rounds.lastIndex(where: { $0.round == record.round }) {
      let last = rounds[index]
      record.base = last.base
      record.updates = (last.updates + record.updates).sorted { $0.path < $1.path }
      record.evaluations = (last.evaluations + record.evaluations).sorted { $0.path < $1.path }
      record.missed = last.missed + record.missed
      record.result = record.result ?? last.result
      record.metrics = record.metrics ?? last.metrics
      record.deviceMetrics = record.deviceMetrics ?? last.deviceMetrics
      record.seconds += last.seconds
      rounds[index] = record
    } else {
      record.missed = missedBefore + record.missed
      rounds.append(record)
    }
  }
}
