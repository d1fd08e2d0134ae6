package import MusterParticipation
package import MusterSchema

extension Coordinator {
  /// What happens to a coordinator.
  package enum Event: Sendable {
    // Operators, at the root.
    case accept(TaskID, TaskSpecification)
    case pause(TaskID)
    case resume(TaskID)
    case cancel(TaskID, reason: String)
    case evaluate(TaskID)

    // The shell's long work, at the root. Everything says which round it belongs to: what came too late is ignored.
    case initialized(TaskID, ModelReference, wire: ModelReference? = nil)
    case aggregated(TaskID, round: Int, ModelReference, wire: ModelReference? = nil, refused: [Waiting])
    /// The strategy refused so many updates that its rule has too few.
    case fellShort(TaskID, round: Int, refused: [Waiting], reason: String)
    case evaluated(TaskID, round: Int, metrics: [String: Double])
    /// - Parameter key: at a region, the order that it was done for.
    case workFailed(TaskID, Work, round: Int, key: RoundKey? = nil, reason: String)
    /// Long work meets trouble that passes: it goes on by itself. For people alone.
    case workDelayed(TaskID, Work, round: Int, reason: String)

    /// The data plane stored a contribution: its bytes are safe, it counts once this is committed.
    case contribution(TaskID, round: Int, phase: Phase, ContributionRecord, reply: Reply)

    // Topics.
    /// - Parameter retained: from the broker's memory, so that it says nothing about now.
    case node(NodeState, retained: Bool = false)
    case status(NodeStatus, retained: Bool = false)

    /// An operator wants a node forgotten.
    case forgetNode(NodeID)

    // A scout: what its participant hands down.
    case forward(TaskDescriptor)
    case order(Invitation)
    case release(TaskID, reason: String)
    case ledger(PhaseLedger)
    /// A task that the coordinator above no longer knows.
    case forget(TaskID)

    // A region that aggregates.
    case combined(TaskID, RoundKey, Combined)
    /// The ledger above has what was combined.
    case delivered(TaskID, RoundKey)

    /// See ``Machine/unstorable(_:reason:bare:)``.
    case unstorable(TaskID, reason: String, bare: Bool)

    /// The connection to the broker stands: say everything that is owed.
    case connected
    /// It broke, or could not be made: nobody hears an invitation, and nobody's silence says anything.
    case disconnected
    case tick
  }

  /// Long work that the shell does for the root.
  package enum Work: String, Codable, Hashable, Sendable { case initialize, aggregate, evaluate }

  /// Who asked, for the answer: the shell's own number.
  package struct Reply: Hashable, Sendable {
    package var number: UInt64
    package init(_ number: UInt64) { self.number = number }
  }

  /// What a participant is told about its contribution.
  package enum Answer: Hashable, Sendable {
    case stored
    case same
    case conflict
    case closed(String)
    /// Its numbers cannot be counted; the reason.
    case refused(String)
    case unknown
  }

  /// What a coordinator wants done, after its records are durable.
  package enum Effect: Hashable, Sendable {
    case publish(TaskDescriptor)
    /// The window for people changed: the shell reads `roundState` and publishes at most once a second.
    case roundChanged(TaskID)
    /// The shell adds ticket and grant: the machine holds no secrets.
    case invite(NodeID, Invitation)
    /// Remove a retained message.
    case clear(Topic)
    case initialize(TaskID)
    /// Make one of the frozen set: the next global model at the root, one contribution at a region.
    case aggregate(TaskID, round: Int)
    case evaluate(TaskID, round: Int)
    case answer(Reply, Answer)
    /// A scout's standing changed: the shell reads `standing` and hands it to the participant above.
    case standingChanged(TaskID)
    /// A scout wants to know what the ledger has.
    case consult(TaskID)
    /// A region's own contribution is ready for the ledger above.
    case deliver(TaskID, RoundKey, JobResult)
    /// A region cannot make one.
    case giveUp(TaskID, RoundKey, reason: String)
    /// Nodes were forgotten, for no more than so many are remembered. To be logged.
    case evicted(Int, of: Int)
    /// Blobs may have lost their last reference.
    case collect
  }

  /// What must survive. Applying the records in order gives the state back.
  package enum Record: Codable, Hashable, Sendable {
    case accepted(TaskID, TaskSpecification)
    case forwarded(TaskDescriptor)
    case revised(TaskID, revision: Int, state: TaskDescriptor.State)
    /// A round's model, and the updates that the strategy refused.
    case published(TaskID, round: Int, PublishedModel, refused: [Waiting])
    case opened(TaskID, PhaseOpening)
    case contributed(TaskID, round: Int, phase: Phase, ContributionRecord)
    case closed(TaskID, round: Int, phase: Phase)
    /// A closed round that gave no model: it is open again, with the updates that the strategy refused.
    case reopened(TaskID, round: Int, refused: [Waiting])
    case combined(TaskID, Combined)
    case evaluated(TaskID, round: Int, metrics: [String: Double])
    /// A round is over: at the root, or a phase of it at a region that aggregates. For the history: the journal holds it only in stores that
    /// an earlier version wrote.
    ///
    /// - Parameter grant: at a region that aggregates, what its devices' tickets derive from: a device that repeats what counts is told so.
    case completed(TaskID, RoundRecord, grant: Grant? = nil)
    /// Nodes that were invited and did not deliver, at a scout. For the history alone.
    case missed(TaskID, RoundKey, [Waiting])
    /// What the rounds that are over leave in the machine.
    case summarized(TaskID, TaskProgress)
    case ended(TaskID, RoundState.Step, reason: String)
    case forgotten(TaskID)
    /// An ended task leaves memory; its history stays.
    case retired(TaskID, RetiredTask?)

    package var task: TaskID {
      switch self {
      case .accepted(let task, _), .revised(let task, _, _), .published(let task, _, _, _), .opened(let task, _),
        .contributed(let task, _, _, _), .closed(let task, _, _), .reopened(let task, _, _), .combined(let task, _),
        .evaluated(let task, _, _),
        .completed(let task, _, _), .missed(let task, _, _), .summarized(let task, _),
        .ended(let task, _, _), .forgotten(let task), .retired(let task, _):
        task
      case .forwarded(let descriptor): descriptor.task
      }
    }
  }
}

/// A round's model as central keeps it, and as devices download it.
package struct PublishedModel: Codable, Hashable, Sendable {
  package var digest: Digest
  package var bytes: Int
  /// What the server optimizer remembers.
  package var state: Digest?
  /// The encoded copy; nil when the model itself travels.
  package var wire: ModelReference?

  package init(_ model: ModelReference, wire: ModelReference?) {
    digest = model.digest
    bytes = model.bytes
    state = model.state
    self.wire = wire
  }
}

/// The opening of a phase or of a further attempt at it.
package struct PhaseOpening: Codable, Hashable, Sendable {
  package var key: RoundKey
  package var base: ModelReference
  package var seed: UInt64
  /// Contributions that close the phase.
  package var needed: Int
  package var minimum: Int
  package var deadline: Instant
  /// Who is invited, and for how many devices.
  package var cohort: [NodeID: Int]
  /// At a scout: the invitation that it fills.
  package var order: Invitation?
  /// At a scout: whether the same round's work goes on.
  package var continues: Bool?
}

/// One contribution that a region made of its devices'.
package struct Combined: Codable, Hashable, Sendable {
  package var result: JobResult
  /// Updates that the strategy's filters refused, by path.
  package var refused: [Waiting]

  package init(result: JobResult, refused: [Waiting]) {
    self.result = result
    self.refused = refused
  }
}
