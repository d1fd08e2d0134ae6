package import MusterParticipation
package import MusterSchema

/// A record of a server's machine, with the changes that it makes to the history.
package protocol HistoricRecord: MachineRecord {
  /// Changes to the history, made in the same transaction as the record.
  var history: [HistoryChange] { get }
  /// Whether the journal holds the record. If not, only the history does, and another record of the same batch restores its change of the
  /// machine.
  var isJournaled: Bool { get }
}

extension HistoricRecord {
  package var isJournaled: Bool { true }
}

extension Coordinator.Record: HistoricRecord {
  package var history: [HistoryChange] {
    switch self {
    case .accepted(let task, let specification): [.began(task, name: specification.name, specification: specification, isOver: false)]
    case .forwarded(let descriptor):
      [.began(descriptor.task, name: descriptor.name, specification: nil, isOver: descriptor.state.isFinal)]
        + (descriptor.state.isFinal ? [.ended(descriptor.task, descriptor.end, reason: descriptor.reason ?? "")] : [])
    case .published(let task, let round, let model, _): [.published(task, ModelCheckpoint(model, round: round))]
    case .contributed(let task, let round, let phase, let contribution):
      [.contributed(ContributionKey(task: task, round: round, phase: phase, path: contribution.path), contribution)]
    case .evaluated(let task, let round, let metrics): [.evaluated(task, round: round, metrics: metrics)]
    case .completed(let task, let record, _): [.completed(task, record)]
    case .missed(let task, let key, let nodes): [.missed(task, round: key.round, key.phase, nodes)]
    case .summarized(let task, let progress):
      [
        .retained(
          task, RetainedModels(since: progress.modelsSince, earlier: [0, progress.bestRound].compactMap { $0 }),
          updatesSince: progress.updatesSince)
      ]
    case .ended(let task, let step, let reason): [.ended(task, step, reason: reason)]
    case .forgotten(let task): [.forgotten(task)]
    case .retired(let task, let last): [.retired(task, last)]
    case .revised(let task, _, let state): [.happened(task, state == .paused ? .paused : .resumed, TaskEvent.Details())]
    case .opened(let task, let opening):
      [
        .happened(
          task, .opened,
          TaskEvent.Details(round: opening.key.round, phase: opening.key.phase, attempt: opening.key.attempt, needed: opening.needed))
      ]
    case .closed(let task, let round, let phase): [.happened(task, .closed, TaskEvent.Details(round: round, phase: phase))]
    case .reopened(let task, let round, let refused):
      [
        .happened(
          task, .reopened,
          TaskEvent.Details(round: round, phase: .train, reason: "the strategy refused \(refused.count) updates"))
      ]
    case .combined: []
    }
  }

  package var isJournaled: Bool {
    switch self {
    // `summarized` follows `completed`. The others only remove a task from the journal, or change nothing in the machine.
    case .completed, .missed, .forgotten, .retired: false
    default: true
    }
  }
}

extension RegionMachine.Record: HistoricRecord {
  package var history: [HistoryChange] { if case .below(let record) = self { record.history } else { [] } }
  package var isJournaled: Bool { if case .below(let record) = self { record.isJournaled } else { true } }
}

extension ModelCheckpoint {
  init(_ model: PublishedModel, round: Int) {
    self.init(round: round, digest: model.digest, bytes: model.bytes, wire: model.wire, metrics: nil, kept: true, state: model.state)
  }
}
