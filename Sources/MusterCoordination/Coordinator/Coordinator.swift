package import MusterParticipation
package import MusterSchema

/// A coordinator's time limits and bounds, and the address at which it can be reached.
package struct CoordinatorConfiguration: Sendable {
  /// Address of the data listener that contributions go to, such as `http://host:7400`.
  package var data: String
  /// At the root: the regions that may be invited. `nil` at a scout, which may invite every device that it hears of.
  package var declared: Set<NodeID>?
  /// Seconds after which an unanswered invitation is repeated.
  package var repeatSeconds: Double
  /// Seconds after which an unanswered invitation goes to another node.
  package var answerSeconds: Double
  /// Seconds for which a phase stays open once no node is left to wait for, so that a replacement can appear.
  package var graceSeconds: Double
  /// Whether the store was empty at the start. If so, retained messages may belong to a store that was moved away, and are not cleared.
  package var storeIsNew = false
  /// Maximum size of one contribution.
  package var maximumBytes = 1 << 30
  /// Maximum number of tracked nodes, and of statuses of one task.
  package var mostNodes = 20_000
  /// Always empty in a server.
  package var faults: PlantedFaults = []

  package init(
    data: String, declared: Set<NodeID>? = nil, repeatSeconds: Double = 2, answerSeconds: Double = 10, graceSeconds: Double = 2
  ) {
    self.data = data
    self.declared = declared
    self.repeatSeconds = repeatSeconds
    self.answerSeconds = answerSeconds
    self.graceSeconds = graceSeconds
  }
}

/// The role that recruits nodes, invites a cohort and follows it. Central is the ledger of every round; a region is a scout for it, or the
/// ledger of its own devices.
///
/// A value: it does no I/O, reads no clock and draws no randomness. Events go in; records (what must survive) and effects (what the shell
/// does once the records are durable) come out. State that records do not restore is learned again from topics. `owed` lists everything
/// that has to be repeated after a restart or a connect, so no code repairs single lost messages. Invitations that have to be repeated are
/// marked in the seats that wait for them.
///
/// After every event `advance` looks at the state and does what is due, so it does not matter whether a message arrives twice, late or
/// never.
package struct Coordinator: Sendable {
  package let id: NodeID
  package var configuration: CoordinatorConfiguration
  package internal(set) var nodes: SharingDictionary<NodeID, NodeState> = [:]
  package internal(set) var tasks = TaskTable()
  /// Tasks that have not ended.
  private(set) var openTasks = SortedSet<TaskID>()
  /// Tasks that have not ended, sorted.
  package var openTaskIDs: [TaskID] { Array(openTasks) }
  /// When each ended task is retired.
  private var retirements = SortedSet<TaskAt>()

  /// False from the moment that the connection to the broker breaks. Until it is back no node is invited, and no time to answer runs out.
  private(set) var isConnected = true
  /// At a scout: nodes that were online before the connection broke, and are expected back.
  private(set) var returning = SortedSet<NodeID>()
  /// When the scout stops waiting for them. A device tries to connect at least every half minute.
  private var returnsUntil = Instant.zero
  /// Tasks that were forgotten, newest last. Their topics are cleared on every connect, because the first clearing may be lost. Soft.
  var forgotten: [TaskID] = []
  /// Nodes that an operator made this coordinator forget, with their last session, newest last. The Will of that session may still arrive.
  /// Soft.
  var forgottenNodes: [(node: NodeID, session: String)] = []
  /// Nodes that were invited and have not been heard of since. Soft.
  var unanswered: Silences
  /// When each node was last heard of. Soft.
  var heardAt: SharingDictionary<NodeID, Instant> = [:]
  var now = Instant.zero
  var records: [Record] = []
  var effects: [Effect] = []

  package init(id: NodeID, configuration: CoordinatorConfiguration) {
    self.id = id
    self.configuration = configuration
    unanswered = Silences(answerSeconds: configuration.answerSeconds)
  }

  /// Restores the durable state from its records. Soft state begins empty.
  ///
  /// - Parameter instant: the machine's time at the last commit, which may have left no record.
  package init(
    id: NodeID, configuration: CoordinatorConfiguration, restoring records: some Sequence<(at: Instant, record: Record)>,
    at instant: Instant = .zero
  ) {
    self.init(id: id, configuration: configuration)
    for (at, record) in records {
      now = max(now, at)
      apply(record)
    }
    now = max(now, instant)
    for task in tasks.keys {
      // Topics already show which devices are at work: no other device is invited before those messages could arrive.
      if tasks[task]?.stage == .scouting { tasks[task]?.train?.holdsUntil = now.advanced(bySeconds: configuration.graceSeconds) }
    }
  }

  package mutating func handle(_ event: Event, at instant: Instant) -> (records: [Record], effects: [Effect]) {
    now = max(now, instant)
    noteSilence()
    process(event)
    defer {
      records = []
      effects = []
    }
    return (records, effects)
  }

  private mutating func process(_ event: Event) {
    switch event {
    case .accept(let task, let specification): accept(task, specification)
    case .pause(let task): revise(task, to: .paused)
    case .resume(let task): revise(task, to: .open)
    case .cancel(let task, let reason): if tasks[task]?.isEnded == false { end(task, .cancelled, reason) }
    case .evaluate(let task): evaluateNow(task)
    case .initialized(let task, let model, let wire): initialized(task, PublishedModel(model, wire: wire))
    case .aggregated(let task, let round, let model, let wire, let refused):
      aggregated(task, round: round, PublishedModel(model, wire: wire), refused: refused)
    case .fellShort(let task, let round, let refused, let reason): fellShort(task, round: round, refused: refused, reason)
    case .evaluated(let task, let round, let metrics): evaluated(task, round: round, metrics)
    case .workFailed(let task, let work, let round, let key, let reason): workFailed(task, work, round: round, key, reason)
    case .workDelayed(let task, let work, let round, let reason): workDelayed(task, work, round: round, reason)
    case .contribution(let task, let round, let phase, let contribution, let reply):
      effects.append(.answer(reply, contribute(task, round: round, phase: phase, contribution)))
      advance(task)
    case .node(let state, let retained): heard(state, retained: retained)
    case .status(let status, let retained): heard(status, retained: retained)
    case .forward(let descriptor): forward(descriptor)
    case .order(let invitation): order(invitation)
    case .release(let task, let reason): release(task, reason)
    case .combined(let task, let key, let combined): self.combined(task, key, combined)
    case .delivered(let task, let key): delivered(task, key)
    case .ledger(let ledger): heard(ledger)
    case .forgetNode(let node): forgetNode(node)
    case .forget(let task): if tasks[task] != nil { forget(task) }
    case .unstorable(let task, let reason, let bare): endUnstorable(task, reason, bare: bare)
    case .connected: connected()
    case .disconnected: disconnected()
    case .tick:
      stopWaitingForReturn()
      callSilent()
      let retired = retirements.prefix { $0.at <= now }.map(\.task)
      for task in (Array(openTasks) + retired).sorted() { advance(task) }
    }
  }

  private mutating func connected() {
    let wasDeaf = !isConnected
    isConnected = true
    if wasDeaf {
      // A dead broker fires no Will, so each node that is online shows up again on this connection. Nodes that could not hear get their
      // whole time to answer again.
      if configuration.declared == nil {
        for state in nodes.values where state.online { returning.insert(state.node) }
        returnsUntil = now.advanced(bySeconds: Self.returnSeconds)
        for id in openTasks { noteReturning(id) }
      }
      for node in nodes.keys { nodes[node]?.online = false }
      for id in openTasks { reviewAll(id) }
      restartPatience()
    }
    if !configuration.faults.contains(.forgetsOwed) {
      effects += owed()
      for id in openTasks { oweInvitations(id) }
    }
    if wasDeaf { for task in openTasks { advance(task) } }
  }

  private mutating func disconnected() {
    guard isConnected else { return }
    isConnected = false
    effects += openTasks.map { .roundChanged($0) }
  }

  /// Updates the open tasks and the retirements after a task has changed.
  mutating func reindex(_ id: TaskID, before: TaskRun?) {
    tasks.file(id)
    let after = tasks[id]
    if let ended = before?.endedAt { retirements.remove(TaskAt(at: ended.advanced(bySeconds: Self.retirementSeconds), task: id)) }
    if let ended = after?.endedAt { retirements.insert(TaskAt(at: ended.advanced(bySeconds: Self.retirementSeconds), task: id)) }
    if after.map({ !$0.isEnded }) ?? false { openTasks.insert(id) } else { openTasks.remove(id) }
  }

  mutating func commit(_ record: Record) {
    apply(record)
    records.append(record)
  }

  /// Does what the state of the task makes due. Called after everything that may have changed it; usually nothing is due.
  mutating func advance(_ id: TaskID) {
    guard let run = tasks[id] else { return }
    if case .ended = run.stage {
      retire(id)
      return
    }
    guard !run.isPaused else { return }
    if run.specification != nil, now >= run.expires {
      end(id, .failed, "the task expired\(run.lastReason.map { "; last problem: \($0)" } ?? "")")
      return
    }
    switch run.stage {
    case .recruiting: recruit(id)
    case .training: follow(id, .train)
    case .evaluating: followEvaluation(id)
    case .scouting: scout(id)
    case .initializing, .aggregating, .waiting, .delivering, .ended: break
    }
  }

  /// Marks the nodes that are expected back, in a phase that has just opened or after the connection to the broker broke.
  mutating func noteReturning(_ id: TaskID) {
    guard tasks[id]?.train?.order != nil else { return }
    for node in returning { tasks[id]?.train?.nodes[node].isReturning = true }
  }

  mutating func stopWaitingForReturn(of node: NodeID) {
    guard returning.remove(node) else { return }
    for id in openTasks { tasks[id]?.train?.nodes[node].isReturning = false }
  }

  private mutating func stopWaitingForReturn() {
    guard !returning.isEmpty, returnsUntil <= now else { return }
    for node in returning { stopWaitingForReturn(of: node) }
    effects += openTasks.filter { tasks[$0]?.stage == .scouting }.map { .standingChanged($0) }
  }

  /// When the coordinator next needs a tick because of time alone.
  package var nextDeadline: Instant? {
    let end = returning.isEmpty ? nil : returnsUntil
    return [taskDeadline, retirements.first?.at, end, nextCall].compactMap { $0 }.min()
  }

  private var taskDeadline: Instant? {
    openTasks.compactMap { id -> Instant? in
      guard let run = tasks[id], !run.isPaused else { return nil }
      var deadlines = run.specification == nil ? [] : [run.expires]
      if run.stage == .recruiting { deadlines += [settles(run), givesUp(run)].compactMap { $0 } }
      let phase =
        switch run.stage {
        case .training, .scouting: run.train
        case .evaluating: run.evaluation
        default: PhaseRun?.none
        }
      // A scout does nothing more after its deadline.
      if let phase, !phase.isClosed, phase.order == nil || (!phase.isOver && now < phase.deadline) {
        deadlines.append(phase.deadline)
        if let holds = phase.holdsUntil { deadlines.append(holds) }
        if let idle = phase.idleSince, phase.order == nil || phase.acceptedDevices >= phase.least {
          deadlines.append(idle.advanced(bySeconds: configuration.graceSeconds))
        }
        if isConnected {
          if let due = phase.nodes.due.first { deadlines.append(due.at) }
          if mayInviteNext(phase) { deadlines.append(now) }
        }
      }
      return deadlines.min()
    }.min()
  }

  /// Seconds to wait for devices to return: the longest pause between two attempts to connect, and the duration of an attempt.
  static let returnSeconds = 45.0
  /// Seconds for which the descriptor of an ended task stays retained, so that nodes that were away learn of the end.
  static let retirementSeconds = 86_400.0
}

/// A task for which something is due at an instant.
private struct TaskAt: Hashable, Comparable, Sendable {
  var at: Instant
  var task: TaskID

  static func < (left: Self, right: Self) -> Bool { (left.at, left.task) < (right.at, right.task) }
}
