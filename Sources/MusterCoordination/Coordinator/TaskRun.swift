import MusterParticipation
package import MusterSchema

/// One of the two phases of a round that a task has room for.
enum PhaseSlot: Hashable, Sendable { case train, evaluation }

/// A task as a coordinator runs it. What records do not restore is learned again from topics.
package struct TaskRun: Sendable {
  enum Stage: Hashable, Sendable {
    case initializing
    case recruiting
    case training
    case aggregating
    case evaluating
    /// A scout without an order.
    case waiting
    /// A scout that fills one.
    case scouting
    /// A region whose own contribution, of all its devices, is on its way to the ledger above.
    case delivering
    case ended(RoundState.Step, reason: String)
  }

  package let id: TaskID
  /// At the root: the task as accepted. A scout has only the descriptor.
  @Boxed package private(set) var specification: TaskSpecification?
  @Boxed package var descriptor: TaskDescriptor
  var stage: Stage
  var expires: Instant
  var pausedAt: Instant?

  /// The round in progress; 0 before the first opens.
  package var round = 0
  var attempt = 0
  var roundOpened = Instant.zero
  var train: PhaseRun?
  var evaluation: PhaseRun?
  /// Central's own evaluation of this round: nil while it runs.
  var centralMetrics: [String: Double]?
  var centralEvaluates = false
  /// Nobody was ready to evaluate this round.
  var skipsDeviceEvaluation = false
  /// At a region that aggregates: what it made of its devices' contributions.
  var combined: Combined?
  /// At a scout: what its devices' tickets derive from, of the newest order.
  package var grant: Grant?
  /// Updates that the strategy refused, by path.
  var refused: [String: String] = [:]
  /// What the rounds that are over left, and the model of the round in progress.
  @Boxed package var progress = TaskProgress()

  var roll = Roll()
  /// While recruiting: the most devices that were ready, since when there are enough, and since when there are not more.
  var gathering: (count: Int, since: Instant, grew: Instant)?
  /// What went wrong in this round, newest last.
  var troubles: [Waiting] = []
  var lastReason: String?
  /// Long work that waits for trouble to pass, and what that is.
  var delay: (work: Coordinator.Work, round: Int, reason: String)?
  var endedAt: Instant?

  init(id: TaskID, specification: TaskSpecification?, descriptor: TaskDescriptor, stage: Stage, expires: Instant) {
    self.id = id
    self.specification = specification
    self.descriptor = descriptor
    self.stage = stage
    self.expires = expires
  }

  subscript(slot: PhaseSlot) -> PhaseRun? {
    _read {
      switch slot {
      case .train: yield train
      case .evaluation: yield evaluation
      }
    }
    _modify {
      switch slot {
      case .train: yield &train
      case .evaluation: yield &evaluation
      }
    }
  }

  /// Whether it waits for the coordinator's own aggregation.
  package var isAggregating: Bool { stage == .aggregating }
  package var isEnded: Bool { if case .ended = stage { true } else { false } }
  var isPaused: Bool { pausedAt != nil }
  package var models: [ModelCheckpoint] { progress.models }
  package var latestModel: ModelCheckpoint? { models.last }
  /// The newest evaluation, central's or the devices'.
  package var latestMetrics: [String: Double]? { progress.newestEvaluation?.metrics }
  /// Names of metrics that evaluations have reported so far.
  private var reported: Set<String> { models.compactMap(\.evaluation).reduce(into: Set(progress.reported)) { $0.formUnion($1.keys) } }
  /// What the task's models are compared by; nil while nothing was evaluated.
  package var metric: TaskMetric? { TaskMetric(stop: specification?.stop, reported: reported) }
  /// What the evaluations report instead, when there were some and none reports the metric that is to stop the task.
  var unreportedStop: (metric: String, reported: [String])? {
    guard let stop = specification?.stop else { return nil }
    let reported = reported
    return reported.isEmpty || reported.contains(stop.metric) ? nil : (stop.metric, reported.sorted())
  }

  /// - Parameter fate: what became of the node's invitation, if it had one.
  mutating func note(_ node: String, _ reason: String, _ fate: Fate? = nil) {
    let reason = reason.brief()
    troubles.removeAll { $0.node == node }
    troubles.append(Waiting(node: node, reason: reason, fate: fate))
    if troubles.count > 20 { troubles.removeFirst() }
    lastReason = "\(node): \(reason)"
  }
}

extension TaskRun {
  /// The model that a phase started from, as this coordinator aggregates onto it: at the root what it keeps, not what devices downloaded.
  func master(of base: Digest) -> Digest { models.last { $0.distributed.digest == base }?.digest ?? base }

  /// The closed phase (at the root: of training): what is aggregated, sorted by path.
  package var frozenUpdates: (base: Digest, contributions: [ContributionRecord])? {
    guard let train, train.isClosed else { return nil }
    return (master(of: train.base.digest), train.accepted.values.sorted { $0.path < $1.path })
  }

  /// The phase as the ledger holds it, whether it is open or not.
  package func ledger(round: Int, phase: Phase) -> (accepted: [ContributionRecord], base: Digest)? {
    guard round == self.round, let slot = slot(phase), let current = self[slot] else { return nil }
    return (current.accepted.values.sorted { $0.path < $1.path }, current.base.digest)
  }

  /// The model that contributions to a phase in progress are made from.
  func base(round: Int, phase: Phase) -> Digest? {
    guard round == self.round, let slot = slot(phase) else { return nil }
    return self[slot]?.base.digest
  }

  /// What already counts of this node in the round in progress.
  func accepted(round: Int, phase: Phase, path: NodePath) -> Digest? {
    guard round == self.round else { return nil }
    if let slot = slot(phase), let accepted = self[slot]?.accepted[path] { return accepted.digest }
    return round == progress.round ? progress.settled(phase, path) : nil
  }
}

extension TaskRun {
  /// At a scout: the invitation that it fills.
  package var order: Invitation? { train?.order }

  /// Whether contributions are counted here: at the root, or at a region that aggregates. A plain scout counts nothing.
  package var isLedger: Bool { specification != nil || descriptor.upload == .region }

  /// Devices that one contribution may stand for: as many as its region can be asked for, one of a device.
  package func maximumDevices(_ path: NodePath) -> Int {
    guard let specification, specification.upload == .region else { return 1 }
    let invited = (Double(specification.cohort.size) * specification.cohort.over).rounded(.up)
    // All that trained evaluate, those of earlier attempts included: that may be more than the cohort's size.
    let asked = path.nodes.first.flatMap { node in [train, evaluation].compactMap { $0?.nodes[node].seat?.quota }.max() } ?? 1
    return min(max(asked, invited < 1e6 ? Int(invited) : 1_000_000), 1_000_000)
  }

  /// Where a phase runs: a scout has one place for whatever its order is.
  func slot(_ phase: Phase) -> PhaseSlot? {
    if specification != nil { return phase == .train ? .train : .evaluation }
    return train?.key.phase == phase ? .train : nil
  }

  /// A scout that works on an order, or delivers what came of it.
  var hasOrder: Bool { train?.order != nil && (stage == .scouting || stage == .aggregating || stage == .delivering) }
}
