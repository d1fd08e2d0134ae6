package import MusterCoordination
package import MusterParticipation
package import MusterSchema

/// What a region asks the coordinator above, by HTTP. It holds what its driver needs to ask; the answer becomes events of the machine.
package enum Question: Hashable, Sendable {
  /// Whether the ledger still wants the region's contribution. Asked after the region has restarted, or when central's session has changed.
  case isWanted(TaskID, RoundKey, upload: String)
  /// What counts in a phase that the region invites devices for.
  case whatCounts(TaskID, RoundKey, upload: String)

  /// In a queue. A question with the same key that waits already is replaced by the newer one.
  package var queueKey: String {
    switch self {
    case .isWanted(let task, _, _): "wanted/\(task)"
    case .whatCounts(let task, _, _): "counts/\(task)"
    }
  }

  package var task: TaskID {
    switch self {
    case .isWanted(let task, _, _), .whatCounts(let task, _, _): task
    }
  }

  package var key: RoundKey {
    switch self {
    case .isWanted(_, let key, _), .whatCounts(_, let key, _): key
    }
  }

  /// The address of the phase: that of the upload without the node's path at its end.
  package var phase: String {
    switch self {
    case .isWanted(_, _, let upload), .whatCounts(_, _, let upload):
      upload.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    }
  }

  package enum Answer: Sendable {
    case ledger(PhaseLedger)
    /// The ledger knows no such phase.
    case none(reason: String)
    case silence
  }

  /// - Returns: nil when the answer changes nothing.
  package func event(for answer: Answer, to region: NodeID) -> RegionMachine.Event? {
    switch self {
    case .isWanted(let task, let key, _):
      switch answer {
      case .ledger(let ledger) where ledger.accepted.contains(NodePath(region)): .above(.delivered(task, key))
      case .ledger(let ledger) where ledger.open: .above(.confirmed(task, key))
      case .ledger: .above(.refused(task, key, reason: "the round is closed"))
      case .none(let reason): .above(.refused(task, key, reason: reason))
      // Asked again when the coordinator above shows itself; until then the order stands.
      case .silence: .above(.confirmed(task, key))
      }
    case .whatCounts: if case .ledger(let ledger) = answer { .below(.ledger(ledger)) } else { nil }
    }
  }
}

/// A region's question which tasks there are, asked until it is answered.
package struct TaskListing: Sendable {
  package enum Next: Hashable, Sendable {
    /// Ask again after a pause in seconds.
    case ask(after: Double)
    /// The region knows which tasks there are.
    case settled
  }

  private let region: NodeID
  /// Tasks that were open when the question was asked: only these are missing when the answer does not name them.
  private var known: Set<TaskID>
  private var failures = 0

  package init(for machine: RegionMachine) {
    region = machine.coordinator.id
    known = machine.openTasks
  }

  /// - Parameter machine: as it is now.
  /// - Returns: the events for the machine, in order.
  package mutating func answered(_ descriptors: [TaskDescriptor], _ machine: RegionMachine) -> (events: [RegionMachine.Event], Next) {
    let listed = Set(descriptors.map(\.task))
    let events: [RegionMachine.Event] =
      descriptors.filter { $0.regions.contains(region) }.map { .above(.descriptor($0)) }
      + known.subtracting(listed).sorted().map { .above(.forget($0)) }
    let open = machine.openTasks
    // A task that was heard of after the question was asked may be missing from the answer: it is asked once more before that one is forgotten.
    let isSettled = open.isSubset(of: listed.union(known))
    known = open
    failures = 0
    return (events, isSettled ? .settled : .ask(after: 1))
  }

  package mutating func failed() -> Next {
    failures += 1
    return .ask(after: min(30, Double(1 << min(failures, 5))))
  }
}

/// A region's own contribution on its way to the ledger above, until the ledger has it or does not want it.
package struct Delivery: Sendable {
  package let job: Job

  init(_ job: Job) { self.job = job }

  /// In a queue: of one round and phase there is one contribution.
  package var queueKey: String { "\(job.task)/\(job.key.round)/\(job.key.phase)" }

  /// The job as it stands now; nil when it is done with.
  package func current(_ machine: RegionMachine) -> Job? {
    machine.participant.jobs[job.task].flatMap { $0.isSameWork(as: job.key) && $0.stage == .uploading ? $0 : nil }
  }

  package enum Answer: Hashable, Sendable {
    /// It counts, or another of this region does.
    case counts
    /// The phase is closed or unknown.
    case closed(reason: String)
    /// It will never be accepted.
    case refused(reason: String)
  }

  package func event(for answer: Answer) -> RegionMachine.Event {
    switch answer {
    case .counts: .above(.delivered(job.task, job.key))
    case .closed(let reason): .above(.refused(job.task, job.key, reason: reason))
    case .refused(let reason): .above(.failed(job.task, job.key, reason: reason))
    }
  }
}

extension RegionMachine {
  fileprivate var openTasks: Set<TaskID> { Set(coordinator.tasks.values.lazy.filter { !$0.isEnded }.map(\.id)) }
}
