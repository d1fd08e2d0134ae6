package import MusterParticipation
package import MusterSchema

/// A region: a participant of the coordinator above, bound together with the coordinator of its devices.
///
/// It is still a value without I/O. Whatever one half wants of the other happens here, in the same step, so that the records of both are
/// one transaction.
package struct RegionMachine: Machine {
  package internal(set) var participant: Participant
  package internal(set) var coordinator: Coordinator
  /// Tasks whose standing has changed since it was last handed to the participant. Soft.
  private var changed: Set<TaskID> = []
  /// When the standing of each task may be handed on again. Soft.
  private var pauses: [TaskID: Instant] = [:]

  /// Minimum seconds between two standings of a task. Thousands of devices change it, and the coordinator above needs it only now and then.
  private static let standingSeconds = 0.1

  package enum Event: Sendable {
    case above(Participant.Event)
    case below(Coordinator.Event)
    case unstorable(TaskID, reason: String, bare: Bool)
    case tick
  }

  package enum Record: MachineRecord {
    case above(Participant.Record)
    case below(Coordinator.Record)

    package var task: TaskID {
      switch self {
      case .above(let record): record.task
      case .below(let record): record.task
      }
    }

    package var kind: String {
      switch self {
      case .above(let record): "above/\(record.kind)"
      case .below(let record): "below/\(record.kind)"
      }
    }

    package var supersedes: [String] {
      switch self {
      case .above(let record): record.supersedes.map { "above/\($0)" }
      case .below(let record): record.supersedes.map { "below/\($0)" }
      }
    }
  }

  package enum Effect: Sendable {
    /// A status for the coordinator above.
    case status(NodeStatus, lasting: Bool)
    /// Publish the region's birth to the coordinator above again.
    case announce
    /// Ask the ledger above whether it still wants this order, for example after a restart.
    case ask(Job)
    /// Deliver the region's own contribution to the ledger above.
    case upload(Job)
    /// An effect for the devices below: publish, invite, clear, update the round's display, consult the ledger.
    case below(Coordinator.Effect)
  }

  package init(id: NodeID, above: NodeID, configuration: CoordinatorConfiguration) {
    participant = Participant(id: id, coordinator: above, capacity: .max)
    coordinator = Coordinator(id: id, configuration: configuration)
  }

  package init(
    id: NodeID, above: NodeID, configuration: CoordinatorConfiguration, restoring records: [(at: Instant, record: Record)],
    at instant: Instant = .zero
  ) {
    participant = Participant(
      id: id, coordinator: above, capacity: .max,
      restoring: records.compactMap { at, record in if case .above(let record) = record { (at, record) } else { nil } })
    coordinator = Coordinator(
      id: id, configuration: configuration,
      restoring: records.compactMap { at, record in if case .below(let record) = record { (at, record) } else { nil } }, at: instant)
  }

  package static var tick: Event { .tick }
  package static func unstorable(_ task: TaskID, reason: String, bare: Bool) -> Event { .unstorable(task, reason: reason, bare: bare) }

  package var nextDeadline: Instant? {
    ([participant.nextDeadline, coordinator.nextDeadline].compactMap { $0 } + changed.compactMap { pauses[$0] }).min()
  }

  package mutating func handle(_ event: Event, at now: Instant) -> (records: [Record], effects: [Effect]) {
    var step = Step(now: now)
    switch event {
    case .above(let event): above(event, &step)
    case .below(let event): below(event, &step)
    case .unstorable(let task, let reason, let bare):
      below(.unstorable(task, reason: reason, bare: bare), &step)
      above(.unstorable(task, reason: reason), &step)
    case .tick:
      above(.tick, &step)
      below(.tick, &step)
    }
    handOn(&step)
    return (step.records, step.effects)
  }

  /// Hands changed standings to the participant, at most one per task every `standingSeconds`.
  private mutating func handOn(_ step: inout Step) {
    while !step.standings.isEmpty || changed.contains(where: { mayHandOn($0, step.now) }) {
      changed.formUnion(step.standings)
      step.standings = []
      for task in changed.filter({ mayHandOn($0, step.now) }).sorted() {
        changed.remove(task)
        pauses[task] = step.now.advanced(bySeconds: Self.standingSeconds)
        if let standing = coordinator.standing(task) { above(.standing(task, standing), &step) }
      }
    }
    // Drop the entries of tasks that no longer change.
    if pauses.count > 2 * coordinator.openTasks.count + 16 { pauses = pauses.filter { $0.value > step.now } }
  }

  private func mayHandOn(_ task: TaskID, _ now: Instant) -> Bool { pauses[task].map { $0 <= now } ?? true }

  /// Every blob that the region still refers to.
  package var referencedBlobs: Set<Digest> {
    coordinator.referencedBlobs.union(participant.jobs.values.compactMap { $0.result?.digest })
  }

  private struct Step {
    let now: Instant
    var records: [Record] = []
    var effects: [Effect] = []
    var standings: Set<TaskID> = []
  }

  private mutating func above(_ event: Participant.Event, _ step: inout Step) {
    let (records, effects) = participant.handle(event, at: step.now)
    step.records += records.map(Record.above)
    // Must precede what follows from the event: the next order would find the delivered one still open.
    if case .delivered(let task, let key) = event { below(.delivered(task, key), &step) }
    for effect in effects {
      switch effect {
      case .status(let status, let lasting): step.effects.append(.status(status, lasting: lasting))
      case .announce: step.effects.append(.announce)
      case .ask(let job): step.effects.append(.ask(job))
      case .start(let job): below(.order(job.invitation), &step)
      case .cancel(let task, _, let reason): below(.release(task, reason: reason), &step)
      case .descriptor(let descriptor): below(.forward(descriptor), &step)
      case .check(let task): step.standings.insert(task)
      case .upload(let job): step.effects.append(.upload(job))
      }
    }
    if case .forget(let task) = event { below(.forget(task), &step) }
  }

  private mutating func below(_ event: Coordinator.Event, _ step: inout Step) {
    let (records, effects) = coordinator.handle(event, at: step.now)
    step.records += records.map(Record.below)
    for effect in effects {
      switch effect {
      case .standingChanged(let task): step.standings.insert(task)
      case .deliver(let task, let key, let result): deliver(task, key, result, &step)
      case .giveUp(let task, let key, let reason): above(.failed(task, key, reason: reason), &step)
      default: step.effects.append(.below(effect))
      }
    }
  }

  /// Hands the combined contribution to the participant. This is repeated after every restart, so the participant may have it already, or
  /// may be done with it.
  private mutating func deliver(_ task: TaskID, _ key: RoundKey, _ result: JobResult, _ step: inout Step) {
    if let job = participant.jobs[task], job.isSameWork(as: key) {
      if job.result == nil { above(.finished(task, key, result), &step) }
    } else if let last = participant.last[task], last.key.round == key.round, last.key.phase == key.phase, last.status.state == .done {
      below(.delivered(task, key), &step)
    } else {
      below(.release(task, reason: "the ledger above no longer takes this contribution"), &step)
    }
  }
}
