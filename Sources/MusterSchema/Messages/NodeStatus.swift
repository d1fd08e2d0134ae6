/// `muster/v1/{c}/nodes/{node}/tasks/{task}`: where a node stands with a task. The latest holds.
public struct NodeStatus: Message {
  public static var kind: String { "node-status" }

  public enum State: String, Codable, Sendable {
    /// Could take part now.
    case ready
    /// Cannot take part now: `reason`, and perhaps `retrySeconds`.
    case declined
    /// Took the invitation of this round.
    case accepted
    /// Training or evaluating: `progress` 0–1.
    case training
    case uploading
    /// The contribution was answered with 201 or 200.
    case done
    /// Gave up on this round: `reason`.
    case failed
    /// A scout: still looking for devices, `have` of its quota are at work or done.
    case recruiting
    /// A scout: its quota is at work or done.
    case filled
    /// A scout: cannot fill its quota now: `have`, `reason`.
    case short
  }

  public var node: NodeID
  public var task: TaskID
  public var state: State
  public var round: Int?
  public var attempt: Int?
  public var phase: Phase?
  public var reason: String?
  /// The kind of reason, where the coordinator acts on it.
  public var code: ErrorCode?
  public var retrySeconds: Double?
  public var progress: Double?
  public var loss: Double?
  /// A region: its devices that could take part in the next round, those at work on this one included.
  public var devices: Int?
  /// A region: its devices that declined.
  public var declined: Int?
  /// A scout: devices at work or done.
  public var have: Int?
  /// A scout: the quota that it knows.
  public var quota: Int?
  /// A scout: at most five of the devices that it waits for.
  public var waiting: [Waiting]?
  /// A device: which of its trainers does the task.
  public var trainer: String?

  public init(
    node: NodeID, task: TaskID, state: State, round: Int? = nil, attempt: Int? = nil, phase: Phase? = nil, reason: String? = nil,
    retrySeconds: Double? = nil, progress: Double? = nil, loss: Double? = nil, devices: Int? = nil, declined: Int? = nil,
    have: Int? = nil, waiting: [Waiting]? = nil, quota: Int? = nil, trainer: String? = nil, code: ErrorCode? = nil
  ) {
    self.node = node
    self.task = task
    self.state = state
    self.round = round
    self.attempt = attempt
    self.phase = phase
    self.reason = reason
    self.retrySeconds = retrySeconds
    self.progress = progress
    self.loss = loss
    self.devices = devices
    self.declined = declined
    self.have = have
    self.waiting = waiting
    self.quota = quota
    self.trainer = trainer
    self.code = code
  }
}

extension NodeStatus {
  /// The piece of work that the status speaks of.
  public var key: RoundKey? {
    guard let round, let attempt, let phase else { return nil }
    return RoundKey(round: round, phase: phase, attempt: attempt)
  }
}
