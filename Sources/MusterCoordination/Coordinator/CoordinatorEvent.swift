package import MusterParticipation
package import MusterSchema

extension Coordinator {
  /// An input of a coordinator.
  package enum Event: Sendable {
    // From operators, at the root.
    case accept(TaskID, TaskSpecification)
    case pause(TaskID)
    case resume(TaskID)
    case cancel(TaskID, reason: String)
    case evaluate(TaskID)

    // Results of the shell's long work. A result that comes too late is ignored.
    case initialized(TaskID, ModelReference, wire: ModelReference? = nil)
    case aggregated(TaskID, round: Int, ModelReference, wire: ModelReference? = nil, refused: [Waiting])
    /// The strategy refused updates, and its rule needs more than the number that remains.
    case fellShort(TaskID, round: Int, refused: [Waiting], reason: String)
    case evaluated(TaskID, round: Int, metrics: [String: Double])
    /// - Parameter key: at a region, the order that the work was done for.
    case workFailed(TaskID, Work, round: Int, key: RoundKey? = nil, reason: String)
    /// Long work has met temporary trouble and retries by itself. Only for people.
    case workDelayed(TaskID, Work, round: Int, reason: String)

    /// The data plane has stored the bytes of a contribution. It counts once this event is committed.
    case contribution(TaskID, round: Int, phase: Phase, ContributionRecord, reply: Reply)

    // From topics.
    /// - Parameter retained: whether it came from the broker's memory, so that it says nothing about the present.
    case node(NodeState, retained: Bool = false)
    case status(NodeStatus, retained: Bool = false)

    /// An operator wants the node to be forgotten.
    case forgetNode(NodeID)

    // At a scout, from its participant.
    case forward(TaskDescriptor)
    case order(Invitation)
    case release(TaskID, reason: String)
    case ledger(PhaseLedger)
    /// The coordinator above no longer knows the task.
    case forget(TaskID)

    // At a region that aggregates.
    case combined(TaskID, RoundKey, Combined)
    /// The ledger above has the combined contribution.
    case delivered(TaskID, RoundKey)

    /// See ``Machine/unstorable(_:reason:bare:)``.
    case unstorable(TaskID, reason: String, bare: Bool)

    /// The connection to the broker is up: repeat everything that is owed.
    case connected
    /// The connection broke, or could not be made: no node can receive an invitation, and a node's silence means nothing.
    case disconnected
    case tick
  }

  /// Long work that the shell does for the root; at a region only aggregation.
  package enum Work: String, Codable, Hashable, Sendable { case initialize, aggregate, evaluate }

  /// Identifies the request to answer, by a number that the shell chose.
  package struct Reply: Hashable, Sendable {
    package var number: UInt64
    package init(_ number: UInt64) { self.number = number }
  }

  /// The answer to a contribution.
  package enum Answer: Hashable, Sendable {
    case stored
    case same
    case conflict
    case closed(String)
    /// The numbers of the contribution cannot be counted, for this reason.
    case refused(String)
    case unknown
  }

  /// Something that a coordinator wants done once its records are durable.
  package enum Effect: Hashable, Sendable {
    case publish(TaskDescriptor)
    /// The round's display for people has changed: the shell reads `roundState` and publishes it at most once a second.
    case roundChanged(TaskID)
    /// Send an invitation. The shell adds ticket and grant, because the machine holds no secrets.
    case invite(NodeID, Invitation)
    /// Remove a retained message.
    case clear(Topic)
    case initialize(TaskID)
    /// Aggregate the frozen set: into the next global model at the root, into one contribution at a region.
    case aggregate(TaskID, round: Int)
    case evaluate(TaskID, round: Int)
    case answer(Reply, Answer)
    /// A scout's standing has changed: `RegionMachine` reads `standing` and hands it to its participant.
    case standingChanged(TaskID)
    /// A scout asks the ledger which contributions it has.
    case consult(TaskID)
    /// A region's own contribution is ready for the ledger above.
    case deliver(TaskID, RoundKey, JobResult)
    /// A region cannot make a contribution of its own.
    case giveUp(TaskID, RoundKey, reason: String)
    /// Nodes were forgotten because the given maximum of tracked nodes was reached. To be logged.
    case evicted(Int, of: Int)
    /// Blobs may have lost their last reference.
    case collect
  }

  /// A change that must survive a restart. Applying the records in order restores the state.
  package enum Record: Codable, Hashable, Sendable {
    case accepted(TaskID, TaskSpecification)
    case forwarded(TaskDescriptor)
    case revised(TaskID, revision: Int, state: TaskDescriptor.State)
    /// A round's model, and the updates that the strategy refused.
    case published(TaskID, round: Int, PublishedModel, refused: [Waiting])
    case opened(TaskID, PhaseOpening)
    case contributed(TaskID, round: Int, phase: Phase, ContributionRecord)
    case closed(TaskID, round: Int, phase: Phase)
    /// A closed round gave no model and is open again. Lists the updates that the strategy refused.
    case reopened(TaskID, round: Int, refused: [Waiting])
    case combined(TaskID, Combined)
    case evaluated(TaskID, round: Int, metrics: [String: Double])
    /// A round is over at the root, or one of its phases at a region that aggregates. For the history: a journal contains it only if an
    /// earlier version wrote it.
    ///
    /// - Parameter grant: at a region that aggregates, the grant from which its devices' tickets derive. It lets a device that repeats a
    ///   contribution learn that it counts.
    case completed(TaskID, RoundRecord, grant: Grant? = nil)
    /// Nodes that were invited and did not deliver. For the history alone.
    case missed(TaskID, RoundKey, [Waiting])
    /// What the finished rounds leave in the machine.
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
  /// The state of the server optimizer.
  package var state: Digest?
  /// The encoded copy that devices download; `nil` if they download the model itself.
  package var wire: ModelReference?

  package init(_ model: ModelReference, wire: ModelReference?) {
    digest = model.digest
    bytes = model.bytes
    state = model.state
    self.wire = wire
  }
}

/// The opening of a phase, or of a further attempt at it.
package struct PhaseOpening: Codable, Hashable, Sendable {
  package var key: RoundKey
  package var base: ModelReference
  package var seed: UInt64
  /// The number of devices whose contributions close the phase.
  package var needed: Int
  package var minimum: Int
  package var deadline: Instant
  /// The invited nodes, with the number of devices that each is asked for.
  package var cohort: [NodeID: Int]
  /// At a scout: the invitation that it fills.
  package var order: Invitation?
  /// At a scout: whether this continues the work of the same round and phase.
  package var continues: Bool?
}

/// One contribution that a region made from those of its devices.
package struct Combined: Codable, Hashable, Sendable {
  package var result: JobResult
  /// Updates that the strategy's filters refused, by path.
  package var refused: [Waiting]

  package init(result: JobResult, refused: [Waiting]) {
    self.result = result
    self.refused = refused
  }
}
