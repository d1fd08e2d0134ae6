import MusterParticipation
package import MusterSchema

extension Coordinator {
  /// Applies a record to the state, both live and at a restart. Nothing else changes durable state.
  mutating func apply(_ record: Record) {
    switch record {
    case .accepted(let id, let specification):
      let descriptor = TaskDescriptor(task: id, specification: specification, revision: 1, state: .open, central: configuration.data)
      tasks[id] = TaskRun(
        id: id, specification: specification, descriptor: descriptor, stage: .initializing,
        expires: now.advanced(bySeconds: specification.validSeconds))
      reindex(id, before: nil)
    case .forwarded(let descriptor): applyForwarded(descriptor)
    case .revised(let id, let revision, let state):
      tasks[id]?.descriptor.revision = revision
      tasks[id]?.descriptor.state = state
      applyPause(id, paused: state == .paused)
    case .published(let id, let round, let model, let refused): applyPublished(id, round, model, refused)
    case .opened(let id, let opening): applyOpened(id, opening)
    case .contributed(let id, let round, let phase, let contribution):
      guard let run = tasks[id], run.round == round, let slot = run.slot(phase) else { return }
      tasks[id]?[slot]?.accept(contribution)
    case .reopened(let id, _, let refused):
      tasks[id]?.refused = Self.reasons(refused)
      tasks[id]?.train?.refuse(Set(refused.map(\.node)))
      tasks[id]?.train?.isClosed = false
      tasks[id]?.train?.idleSince = nil
      tasks[id]?.stage = .recruiting
    case .combined(let id, let combined):
      tasks[id]?.combined = combined
      tasks[id]?.refused = Self.reasons(combined.refused)
      tasks[id]?.stage = .delivering
    case .closed(let id, _, let phase):
      if phase == .train || tasks[id]?.specification == nil {
        tasks[id]?.train?.isClosed = true
        tasks[id]?.stage = .aggregating
      } else {
        tasks[id]?.evaluation?.isClosed = true
      }
    case .evaluated(let id, let round, let metrics):
      guard let index = tasks[id]?.models.lastIndex(where: { $0.round == round }) else { return }
      tasks[id]?.progress.models[index].metrics = metrics
      if tasks[id]?.round == round, tasks[id]?.stage == .evaluating {
        tasks[id]?.centralMetrics = metrics
        tasks[id]?.centralEvaluates = false
      }
    case .completed(let id, let record, let grant): applyCompleted(id, record, grant)
    case .missed: break
    case .summarized(let id, let progress): applySummarized(id, progress)
    case .ended(let id, let step, let reason): applyEnded(id, step, reason)
    case .forgotten(let id), .retired(let id, _):
      let before = tasks.removeValue(forKey: id)
      reindex(id, before: before)
    }
  }

  private mutating func applyForwarded(_ descriptor: TaskDescriptor) {
    let id = descriptor.task
    let before = tasks[id]
    defer { reindex(id, before: before) }
    if tasks[id] == nil {
      tasks[id] = TaskRun(
        id: id, specification: nil, descriptor: descriptor, stage: .waiting, expires: now.advanced(bySeconds: descriptor.secondsLeft ?? 1e9)
      )
    }
    tasks[id]?.descriptor = descriptor
    applyPause(id, paused: descriptor.state == .paused)
    if descriptor.state.isFinal {
      tasks[id]?.stage = .ended(descriptor.end, reason: descriptor.reason ?? "")
      tasks[id]?.train?.isClosed = true
      tasks[id]?.endedAt = now
    }
  }

  private mutating func applyPublished(_ id: TaskID, _ round: Int, _ model: PublishedModel, _ refused: [Waiting]) {
    guard var run = tasks[id] else { return }
    run.progress.models.append(ModelCheckpoint(model, round: round))
    run.stage = round == 0 ? .recruiting : .evaluating
    run.refused = Self.reasons(refused)
    run.centralMetrics = nil
    run.centralEvaluates = round > 0 && isEvaluated(run)
    run.skipsDeviceEvaluation = false
    run.evaluation = nil
    tasks[id] = run
  }

  private static func reasons(_ refused: [Waiting]) -> [String: String] {
    Dictionary(refused.map { ($0.node, $0.reason) }, uniquingKeysWith: { first, _ in first })
  }

  private mutating func applyPause(_ id: TaskID, paused: Bool) {
    if paused {
      if tasks[id]?.pausedAt == nil { tasks[id]?.pausedAt = now }
    } else if let since = tasks[id]?.pausedAt {
      let frozen = now.milliseconds - since.milliseconds
      tasks[id]?.pausedAt = nil
      tasks[id]?.expires.milliseconds += frozen
      tasks[id]?.train?.shift(by: frozen)
      // A restart during the pause has set this relative to its own time, so the shift may have moved it too far.
      let longest = now.advanced(bySeconds: configuration.graceSeconds)
      if let holds = tasks[id]?.train?.holdsUntil { tasks[id]?.train?.holdsUntil = min(holds, longest) }
      tasks[id]?.evaluation?.shift(by: frozen)
    }
  }

  private mutating func applyOpened(_ id: TaskID, _ opening: PhaseOpening) {
    guard var run = tasks[id] else { return }
    let key = opening.key
    if key.round != run.round || (opening.order == nil && key.phase == .train && run.train == nil) {
      run.roundOpened = now
      run.troubles = []
    }
    run.round = key.round
    // At the root `attempt` counts attempts at training. An evaluation has none of its own.
    if key.phase == .train || opening.order != nil { run.attempt = key.attempt }
    if key.phase == .evaluate && opening.order == nil {
      run.evaluation = phase(opening, run)
    } else {
      if run.train?.key.round == key.round, run.train?.key.phase == key.phase, run.train?.isClosed == false {
        run.train?.reopen(opening, at: now)
      } else {
        run.train = phase(opening, run)
      }
      run.stage = opening.order == nil ? .training : .scouting
      run.grant = opening.order?.grant ?? run.grant
      run.combined = nil
      if run.specification == nil { run.refused = [:] }
    }
    tasks[id] = run
  }

  private func phase(_ opening: PhaseOpening, _ run: TaskRun) -> PhaseRun {
    PhaseRun(
      opening, at: now,
      patience: PhaseNodes.Patience(repeatSeconds: configuration.repeatSeconds, answerSeconds: configuration.answerSeconds),
      deliversOnce: run.specification?.upload == .region)
  }

  private mutating func applyCompleted(_ id: TaskID, _ record: RoundRecord, _ grant: Grant?) {
    guard var progress = tasks[id]?.progress else { return }
    if let specification = tasks[id]?.specification {
      progress.complete(record, specification)
    } else {
      progress.settle(record, keepingUpdates: KeepSpecification().updates, grant: grant)
    }
    applySummarized(id, progress)
  }

  /// Replaces the state of a finished round, or of a region's finished order, by its summary.
  private mutating func applySummarized(_ id: TaskID, _ progress: TaskProgress) {
    guard var run = tasks[id] else { return }
    run.progress = progress
    run.round = progress.round
    run.attempt = progress.attempt
    run.grant = progress.grant ?? run.grant
    run.train = nil
    run.evaluation = nil
    run.combined = nil
    run.refused = [:]
    run.centralMetrics = nil
    run.centralEvaluates = false
    run.skipsDeviceEvaluation = false
    run.gathering = nil
    run.stage = run.specification == nil ? .waiting : .recruiting
    tasks[id] = run
  }

  private mutating func applyEnded(_ id: TaskID, _ step: RoundState.Step, _ reason: String) {
    guard var run = tasks[id] else { return }
    let before = run
    run.stage = .ended(step, reason: reason)
    run.descriptor.revision += 1
    run.descriptor.state = step == .cancelled ? .cancelled : .closed
    run.descriptor.reason = reason
    run.descriptor.outcome = step
    run.pausedAt = nil
    run.endedAt = now
    run.train?.isClosed = true
    run.evaluation?.isClosed = true
    tasks[id] = run
    reindex(id, before: before)
  }

  /// Every blob that a task in memory refers to. The store adds those that the history keeps of finished rounds.
  package var referencedBlobs: Set<Digest> {
    var blobs: Set<Digest> = []
    for run in tasks.values {
      for model in run.models { blobs.formUnion([model.digest, model.distributed.digest, model.state].compactMap { $0 }) }
      if case .blob(let digest) = run.specification?.initial { blobs.insert(digest) }
      if let step = run.descriptor.model.step, !run.isEnded { blobs.insert(step.blob) }
      for phase in [run.train, run.evaluation].compactMap({ $0 }) {
        blobs.insert(phase.base.digest)
        for contribution in phase.accepted.values { blobs.insert(contribution.digest) }
      }
      if let combined = run.combined { blobs.insert(combined.result.digest) }
    }
    return blobs
  }
}
