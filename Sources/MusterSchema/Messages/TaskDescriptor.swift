/// `muster/v1/{c}/tasks/{task}`: what a task is, as a coordinator forwards it to its nodes.
///
/// A device never runs code from a descriptor: `trainer` names programs of which the device's own configuration holds one.
public struct TaskDescriptor: Message {
  public static var kind: String { "task" }

  public enum State: String, Codable, Sendable {
    case open, paused, closed, cancelled

    /// Closed and cancelled absorb: nothing follows them.
    public var isFinal: Bool { self == .closed || self == .cancelled }
  }

  public var task: TaskID
  public var name: String
  /// Grows with every change; lower ones are ignored.
  public var revision: Int
  public var state: State
  /// Why the task ended, when it did.
  public var reason: String?
  /// How it ended: `completed`, `failed` or `cancelled`. Nil before that, and from programs of version 0.1.0.
  public var outcome: RoundState.Step?
  /// Central's data address.
  public var central: String
  public var model: ModelSpecification
  public var trainer: TrainerSelection
  public var rounds: Int
  public var regions: [NodeID]
  public var local: LocalTraining
  public var requires: Requirements?
  /// A label selector.
  public var `where`: String?
  /// How a scout chooses among ready devices; `random` when absent.
  public var selection: CohortSpecification.Selection?
  public var upload: UploadTarget
  /// For regions that aggregate: filters and combiner are theirs.
  public var strategy: StrategySpecification?
  public var encoding: EncodingSpecification
  public var shared: [String]
  public var maximumWeight: Double
  /// Time left before the task expires, in seconds, when this was written. For people: the coordinator enforces it.
  public var secondsLeft: Double?

  /// How a task with a final state ended. A program of version 0.1.0 does not tell a failure from a completion.
  public var end: RoundState.Step {
    if let outcome, outcome.isFinal { return outcome }
    return state == .cancelled ? .cancelled : .completed
  }

  public init(
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
