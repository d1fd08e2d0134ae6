/// `muster/v1/{c}/tasks/{task}`: describes a task, as a coordinator forwards it to its nodes.
///
/// A device never runs code from a descriptor: `trainer` only names programs, and the device runs one that its own configuration has.
package struct TaskDescriptor: Message {
  package static var kind: String { "task" }

  package enum State: String, Codable, Sendable {
    case open, paused, closed, cancelled

    /// Whether the state is permanent: nothing follows closed or cancelled.
    package var isFinal: Bool { self == .closed || self == .cancelled }
  }

  package var task: TaskID
  package var name: String
  /// Increases with every change; lower revisions are ignored.
  package var revision: Int
  package var state: State
  /// The reason why the task ended; `nil` while it runs.
  package var reason: String?
  /// How the task ended: `completed`, `failed` or `cancelled`. `nil` before the end, and from programs of version 0.1.0.
  package var outcome: RoundState.Step?
  /// Central's data address.
  package var central: String
  package var model: ModelSpecification
  package var trainer: TrainerSelection
  package var rounds: Int
  package var regions: [NodeID]
  package var local: LocalTraining
  package var requires: Requirements?
  /// A label selector.
  package var `where`: String?
  /// How a scout chooses among ready devices; absent means `random`.
  package var selection: CohortSpecification.Selection?
  package var upload: UploadTarget
  /// For regions that aggregate: they apply its filters and its combiner.
  package var strategy: StrategySpecification?
  package var encoding: EncodingSpecification
  package var shared: [String]
  package var maximumWeight: Double
  /// Seconds left when this was written until the task expires. For people: the coordinator enforces the limit.
  package var secondsLeft: Double?

  /// How a task with a final state ended. Version 0.1.0 does not distinguish a failure from a completion.
  package var end: RoundState.Step {
    if let outcome, outcome.isFinal { return outcome }
    return state == .cancelled ? .cancelled : .completed
  }

  package init(
    task: TaskID, specification: TaskSpecification, revision: Int, state: State, reason: String? = nil, central: String,
    secondsLeft: Double? = nil
  ) {
    self.task = task
    self.name = specification.name
    self.revision = revision
    self.state = state
    self.reason = reason
    self.central = central
    self.model = specification.model
    self.trainer = specification.trainer
    self.rounds = specification.rounds
    self.regions = specification.regions
    self.local = specification.local
    self.requires = specification.requires
    self.where = specification.where
    self.selection = specification.cohort.selection
    self.upload = specification.upload
    self.strategy = specification.upload == .region ? specification.strategy : nil
    self.encoding = specification.encoding
    self.shared = specification.shared
    self.maximumWeight = specification.maximumWeight
    self.secondsLeft = secondsLeft
  }
}
