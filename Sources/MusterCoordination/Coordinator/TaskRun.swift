import MusterParticipation
package import MusterSchema

/// The two places for phases that a task has.
enum PhaseSlot: Hashable, Sendable { case train, evaluation }

/// A task as a coordinator runs it. State that records do not restore is learned again from topics.
package struct TaskRun: Sendable {
  enum Stage: Hashable, Sendable {
    case initializing
    case recruiting
    case training
    case aggregating
    case evaluating
    /// A scout without an order.
    case waiting
    /// A scout that is filling an order.
    case scouting
    /// A region whose own contribution, combined from those of its devices, is being delivered to the ledger above.
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
  /// The result of central's own evaluation of this round; `nil` if it is not known yet or there is none.
  var centralMetrics: [String: Double]?
  var centralEvaluates = false
  /// Whether devices do not evaluate this round, because none was ready or the task does not ask for it.
  var skipsDeviceEvaluation = false
  /// At a region that aggregates: the contribution combined from those of its devices.
  var combined: Combined?
  /// At a scout: the grant of the newest order, from which its devices' tickets derive.
  package var grant: Grant?
  /// Updates that the strategy refused, by path.
  var refused: [String: String] = [:]
  /// What the finished rounds left, and the model of the round in progress.
  @Boxed package var progress = TaskProgress()

  var roll = Roll()
  /// While recruiting: the largest number of ready devices so far, since when there are enough, and since when the number has not grown.
  var gathering: (count: Int, since: Instant, grew: Instant)?
  /// What went wrong in this round, newest last.
  var troubles: [Waiting] = []
  var lastReason: String?
  /// Long work that is being retried, and the trouble that it waits for.
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

  /// Whether the task waits for this coordinator's own aggregation.
  package var isAggregating: Bool { stage == .aggregating }
  package var isEnded: Bool { if case .ended = stage { true } else { false } }
  var isPaused: Bool { pausedAt != nil }
  package var models: [ModelCheckpoint] { progress.models }
  package var latestModel: ModelCheckpoint? { models.last }
  /// The newest evaluation, central's or the devices'.
  package var latestMetrics: [String: Double]? { progress.newestEvaluation?.metrics }
  /// Names of metrics that evaluations have reported so far.
  private var reported: Set<String> { models.compactMap(\.evaluation).reduce(into: Set(progress.reported)) { $0.formUnion($1.keys) } }
  /// The metric by which the task's models are compared; `nil` if nothing was evaluated yet.
  package var metric: TaskMetric? { TaskMetric(stop: specification?.stop, reported: reported) }
  /// The stop metric and the metrics that are reported instead; `nil` if it is reported, or nothing was evaluated yet.
  var unreportedStop: (metric: String, reported: [String])? {
    guard let stop = specification?.stop else { return nil }
    let reported = reported
    return reported.isEmpty || reported.contains(stop.metric) ? nil : (stop.metric, reported.sorted())
  }

  /// Notes trouble with a node.
  ///
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
  /// The model onto which this coordinator aggregates a phase that started from `base`: at the root the one it keeps, not the encoded copy.
  func master(of base: Digest) -> Digest { models.last { $0.distributed.digest == base }?.digest ?? base }

  /// The frozen set of a closed phase (at the root: of training), sorted by path, with the model to aggregate onto.
  package var frozenUpdates: (base: Digest, contributions: [ContributionRecord])? {
    guard let train, train.isClosed else { return nil }
    return (master(of: train.base.digest), train.accepted.values.sorted { $0.path < $1.path })
  }

  /// The contributions that a phase in progress has accepted, sorted by path, and its base. The phase may be open or closed.
  package func ledger(round: Int, phase: Phase) -> (accepted: [ContributionRecord], base: Digest)? {
    guard round == self.round, let slot = slot(phase), let current = self[slot] else { return nil }
    return (current.accepted.values.sorted { $0.path < $1.path }, current.base.digest)
  }

  /// The model from which contributions to a phase in progress start.
  func base(round: Int, phase: Phase) -> Digest? {
    guard round == self.round, let slot = slot(phase) else { return nil }
    return self[slot]?.base.digest
  }

  /// The digest of the contribution that already counts for this path in the round in progress.
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

  /// Maximum number of devices that one contribution may stand for: 1 from a device, as many as a region could be asked for from a region.
  package func maximumDevices(_ path: NodePath) -> Int {
    guard let specification, specification.upload == .region else { return 1 }
    let invited = (Double(specification.cohort.size) * specification.cohort.over).rounded(.up)
    // A quota includes devices that delivered in earlier attempts, so it may exceed the size of the cohort.
    let asked = path.nodes.first.flatMap { node in [train, evaluation].compactMap { $0?.nodes[node].seat?.quota }.max() } ?? 1
    return min(max(asked, invited < 1e6 ? Int(invited) : 1_000_000), 1_000_000)
  }

  /// The place of a phase. A scout has one place for its order, whatever the order's phase.
  func slot(_ phase: Phase) -> PhaseSlot? {
    if specification != nil { return phase == .train ? .train : .evaluation }
    return train?.key.phase == phase ? .train : nil
  }

  /// Whether a scout works on an order, or delivers its result.
  var hasOrder: Bool { train?.order != nil && (stage == .scouting || stage == .aggregating || stage == .delivering) }
}
