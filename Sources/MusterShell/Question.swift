package import MusterCoordination
package import MusterParticipation
package import MusterSchema

/// A question that a region asks the coordinator above over HTTP. It holds what the driver needs to ask; the answer becomes an event of the
/// machine.
package enum Question: Hashable, Sendable {
  /// Whether the ledger still wants the region's contribution. Asked, for example, after the region has restarted or when central's session
  /// has changed.
  case isWanted(TaskID, RoundKey, upload: String)
  /// Which contributions count in a phase for which the region invites devices.
  case whatCounts(TaskID, RoundKey, upload: String)

  /// The question's key in a queue, where it replaces a waiting question with the same key.
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
    /// The ledger does not know such a phase.
    case none(reason: String)
    case silence
  }

  /// - Returns: `nil` if the answer changes nothing.
  package func event(for answer: Answer, to region: NodeID) -> RegionMachine.Event? {
    switch self {
    case .isWanted(let task, let key, _):
      switch answer {
      case .ledger(let ledger) where ledger.accepted.contains(NodePath(region)): .above(.delivered(task, key))
      case .ledger(let ledger) where ledger.open: .above(.confirmed(task, key))
      case .ledger: .above(.refused(task, key, reason: "the round is closed"))
      case .none(let reason): .above(.refused(task, key, reason: reason))
      // The question is asked again when the coordinator above returns. Until then the order stands.
      case .silence: .above(.confirmed(task, key))
      }
    case .whatCounts: if case .ledger(let ledger) = answer { .below(.ledger(ledger)) } else { nil }
    }
  }
}

/// A region's question which tasks the coordinator above has, asked until it is answered.
package struct TaskListing: Sendable {
  package enum Next: Hashable, Sendable {
    /// Ask again after a pause in seconds.
    case ask(after: Double)
    /// The region knows which tasks exist.
    case settled
  }

  private let region: NodeID
  /// Tasks that were open when the question was asked. Only these are forgotten if the answer does not list them.
  private var known: Set<TaskID>
  private var failures = 0

  package init(for machine: RegionMachine) {
    region = machine.coordinator.id
    known = machine.openTasks
  }

  /// Handles a list of the coordinator's tasks.
  ///
  /// - Parameter machine: the machine as it is now.
  /// - Returns: the events for the machine, in order.
  package mutating func answered(_ descriptors: [TaskDescriptor], _ machine: RegionMachine) -> (events: [RegionMachine.Event], Next) {
    let listed = Set(descriptors.map(\.task))
    let events: [RegionMachine.Event] =
      descriptors.filter { $0.regions.contains(region) }.map { .above(.descriptor($0)) }
      + known.subtracting(listed).sorted().map { .above(.forget($0)) }
    let open = machine.openTasks
    // A task that became known after the question was asked may be missing from the answer: ask once more before it is forgotten.
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

/// A region's own contribution on its way to the ledger above, until the ledger has it or refuses it.
package struct Delivery: Sendable {
  package let job: Job

  init(_ job: Job) { self.job = job }

  /// The delivery's key in a queue: a round and phase have one contribution.
  package var queueKey: String { "\(job.task)/\(job.key.round)/\(job.key.phase)" }

  /// The job as it is now; `nil` if it is no longer to be delivered.
  package func current(_ machine: RegionMachine) -> Job? {
    machine.participant.jobs[job.task].flatMap { $0.isSameWork(as: job.key) && $0.stage == .uploading ? $0 : nil }
  }

  package enum Answer: Hashable, Sendable {
    /// This contribution counts, or another one of this region does.
    case counts
    /// The phase is closed or unknown.
    case closed(reason: String)
    /// The contribution will never be accepted.
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
