/// `muster/v1/{c}/nodes/{node}/tasks/{task}`: a node's status in a task. The latest message replaces earlier ones.
package struct NodeStatus: Message {
  package static var kind: String { "node-status" }

  package enum State: String, Codable, Sendable {
    /// Can take part now.
    case ready
    /// Cannot take part now: `reason`, and perhaps `retrySeconds`.
    case declined
    /// Accepted the invitation to this round.
    case accepted
    /// Training or evaluating: `progress` 0–1.
    case training
    case uploading
    /// The contribution was answered with 201 or 200.
    case done
    /// Gave up on this round: `reason`.
    case failed
    /// A scout: still looking for devices; `have` of its quota are working or done.
    case recruiting
    /// A scout: its whole quota is working or done.
    case filled
    /// A scout: cannot fill its quota now: `have`, `reason`.
    case short
  }

  package var node: NodeID
  package var task: TaskID
  package var state: State
  package var round: Int?
  package var attempt: Int?
  package var phase: Phase?
  package var reason: String?
  /// The kind of the reason, where the coordinator acts on it.
  package var code: ErrorCode?
  package var retrySeconds: Double?
  package var progress: Double?
  package var loss: Double?
  /// A region: its devices that could take part in the next round, including those that work on this one.
  package var devices: Int?
  /// A region: its devices that declined.
  package var declined: Int?
  /// A scout: devices that are working or done.
  package var have: Int?
  /// A scout: the quota that it knows.
  package var quota: Int?
  /// A scout: up to five of the devices that it waits for.
  package var waiting: [Waiting]?
  /// A device: the trainer that it uses for the task.
  package var trainer: String?

  package init(
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
  /// The round, phase and attempt that the status is about; `nil` if it is about the task as a whole.
  package var key: RoundKey? {
    guard let round, let attempt, let phase else { return nil }
    return RoundKey(round: round, phase: phase, attempt: attempt)
  }
}
