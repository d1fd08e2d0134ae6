/// The JSON of the ops API (`/v1/tasks…`, `/v1/regions`, `/v1/nodes`), the same for central and its clients.

/// `GET /v1/tasks`, one element each.
public struct TaskSummary: Codable, Hashable, Sendable {
  public var task: TaskID
  public var name: String
  public var step: RoundState.Step
  public var round: Int
  public var rounds: Int
  public var attempt: Int
  public var regions: [NodeID]
  /// The newest evaluation's, central's or the devices'.
  public var metrics: [String: Double]?
  /// Which of them the task's models are compared by.
  public var metric: String?
  /// What it waits for, or why it ended.
  public var why: String
  /// When central accepted it, in UTC, for people; nil for a task of version 0.1.0.
  public var pushed: WallTime?
  /// When it ended.
  public var ended: WallTime?

  public init(
    task: TaskID, name: String, step: RoundState.Step, round: Int, rounds: Int, attempt: Int, regions: [NodeID],
    metrics: [String: Double]?, metric: String? = nil, why: String
  ) {
    self.task = task
    self.name = name
    self.step = step
    self.round = round
    self.rounds = rounds
    self.attempt = attempt
    self.regions = regions
    self.metrics = metrics
    self.metric = metric
    self.why = why
  }
}

/// `GET /v1/tasks/{task}`.
public struct TaskDetail: Codable, Hashable, Sendable {
  public var summary: TaskSummary
  public var revision: Int
  public var specification: TaskSpecification
  /// What happens now.
  public var now: RoundState
  /// The rounds that have ended, or the last of them when only these were asked for.
  public var rounds: [RoundRecord]
  /// How many have ended.
  public var roundsEnded: Int
  /// The models of all rounds, or those that `rounds` began or ended with.
  public var models: [ModelCheckpoint]

  public init(
    summary: TaskSummary, revision: Int, specification: TaskSpecification, now: RoundState, rounds: [RoundRecord], roundsEnded: Int,
    models: [ModelCheckpoint]
  ) {
    self.summary = summary
    self.revision = revision
    self.specification = specification
    self.now = now
    self.rounds = rounds
    self.roundsEnded = roundsEnded
    self.models = models
  }
}

/// `GET /v1/tasks/{task}` of a region: what it knows of a task itself. Where it aggregates, its rounds name its devices' contributions.
public struct RegionTask: Codable, Hashable, Sendable {
  public var descriptor: TaskDescriptor
  public var now: RoundState
  public var rounds: [RoundRecord]
  public var traffic: Traffic

  public init(descriptor: TaskDescriptor, now: RoundState, rounds: [RoundRecord], traffic: Traffic) {
    self.descriptor = descriptor
    self.now = now
    self.rounds = rounds
    self.traffic = traffic
  }
}

/// Bytes of a task that crossed a coordinator's data listener: contributions that came, models that went.
public struct Traffic: Codable, Hashable, Sendable {
  public var received: Int
  public var sent: Int

  public init(received: Int = 0, sent: Int = 0) {
    self.received = received
    self.sent = sent
  }
}

/// `GET /v1/tasks/{task}/traffic`, one element for central and for each region that answers: what crossed the links below it.
public struct LinkTraffic: Codable, Hashable, Sendable {
  public var coordinator: NodeID
  public var traffic: Traffic

  public init(coordinator: NodeID, traffic: Traffic) {
    self.coordinator = coordinator
    self.traffic = traffic
  }
}

/// What became of a contribution that was answered with 201, or of an invitation that no contribution followed.
public enum Fate: String, Codable, Hashable, Sendable, CaseIterable {
  /// A contribution whose round goes on.
  case accepted
  /// It went into the round's result.
  case counted
  /// The strategy refused it.
  case refused
  /// The round ended without a result.
  case abandoned
  /// The node did not answer, went away, or was late.
  case missed
  /// The node could not take part.
  case declined
  /// The node's work failed.
  case failed
}

/// One contribution in a round's record.
public struct ContributionRecord: Codable, Hashable, Sendable {
  public var path: NodePath
  public var digest: Digest
  public var weight: Double
  public var bytes: Int
  /// Devices behind it; nil: one. A region's contribution stands for all of its devices'.
  public var count: Int?
  public var metrics: [String: Double]
  public var fate: Fate
  public var reason: String?

  public var devices: Int { count ?? 1 }

  public init(
    path: NodePath, digest: Digest, weight: Double, bytes: Int, count: Int? = nil, metrics: [String: Double], fate: Fate = .counted,
    reason: String? = nil
  ) {
    self.path = path
    self.digest = digest
    self.weight = weight
    self.bytes = bytes
    self.count = count
    self.metrics = metrics
    self.fate = fate
    self.reason = reason
  }
}

/// One closed round: what went in, what came out, who missed it. Append-only.
public struct RoundRecord: Codable, Hashable, Sendable {
  public var round: Int
  public var attempts: Int
  public var base: Digest
  public var result: Digest?
  public var strategy: StrategySpecification
  public var updates: [ContributionRecord]
  public var evaluations: [ContributionRecord]
  /// Invited nodes that did not deliver.
  public var missed: [Waiting]
  /// Central's evaluation of the result.
  public var metrics: [String: Double]?
  /// The devices' evaluations, weighted.
  public var deviceMetrics: [String: Double]?
  /// From the round's opening to its end, of the coordinator's own time.
  public var seconds: Double
  /// When it ended, in UTC, for people. Central's ops API fills it in; the record in the journal does not hold it.
  public var ended: WallTime?

  public init(
    round: Int, attempts: Int, base: Digest, result: Digest?, strategy: StrategySpecification, updates: [ContributionRecord],
    evaluations: [ContributionRecord], missed: [Waiting], metrics: [String: Double]?, deviceMetrics: [String: Double]?, seconds: Double
  ) {
    self.round = round
    self.attempts = attempts
    self.base = base
    self.result = result
    self.strategy = strategy
    self.updates = updates
    self.evaluations = evaluations
    self.missed = missed
    self.metrics = metrics
    self.deviceMetrics = deviceMetrics
    self.seconds = seconds
  }
}

/// `POST /v1/tasks/{task}/rounds/{round}/replay`: a round's model, computed again from what is stored.
public struct ReplayReport: Codable, Hashable, Sendable {
  public var task: TaskID
  public var round: Int
  public var recorded: Digest
  /// Nil when something that it needs was collected.
  public var computed: Digest?
  /// The inputs that retention has taken.
  public var collected: [String]

  public init(task: TaskID, round: Int, recorded: Digest, computed: Digest?, collected: [String]) {
    self.task = task
    self.round = round
    self.recorded = recorded
    self.computed = computed
    self.collected = collected
  }

  public var isSame: Bool { computed == recorded }
}

/// A global model that central keeps. Round 0 is the initial one.
public struct ModelCheckpoint: Codable, Hashable, Sendable {
  public var round: Int
  public var digest: Digest
  public var bytes: Int
  /// What devices download instead, when the task's encoding is another than float32.
  public var wire: ModelReference?
  /// Central's evaluation.
  public var metrics: [String: Double]?
  /// The devices' evaluations, weighted.
  public var deviceMetrics: [String: Double]?
  /// False when retention has collected it.
  public var kept: Bool
  /// What the server optimizer remembers from this round, a blob; nil when it remembers nothing. Kept as long as the model.
  public var state: Digest?

  public init(
    round: Int, digest: Digest, bytes: Int, wire: ModelReference? = nil, metrics: [String: Double]?,
    deviceMetrics: [String: Double]? = nil, kept: Bool, state: Digest? = nil
  ) {
    self.round = round
    self.digest = digest
    self.bytes = bytes
    self.wire = wire
    self.metrics = metrics
    self.deviceMetrics = deviceMetrics
    self.kept = kept
    self.state = state
  }

  /// What devices download.
  public var distributed: ModelReference { wire ?? ModelReference(digest: digest, bytes: bytes) }
}

/// `GET /v1/tasks/{task}/why`.
public struct Explanation: Codable, Hashable, Sendable {
  public var task: TaskID
  /// What the task waits for, in a sentence.
  public var sentence: String
  public var waiting: [Waiting]
  /// What went wrong in this round so far.
  public var troubles: [Waiting]
  public var closesInSeconds: Double?

  public init(task: TaskID, sentence: String, waiting: [Waiting], troubles: [Waiting], closesInSeconds: Double?) {
    self.task = task
    self.sentence = sentence
    self.waiting = waiting
    self.troubles = troubles
    self.closesInSeconds = closesInSeconds
  }
}

/// `GET /v1/regions`, one element each.
public struct RegionSummary: Codable, Hashable, Sendable {
  public var region: NodeID
  /// False: it announces itself, but central's configuration does not declare it, so it is never invited.
  public var declared: Bool
  public var online: Bool
  /// Since when it has not answered an invitation, and nothing was heard of it; nil when it is not silent.
  public var silentSeconds: Double?
  /// When central first heard that the region is online or offline; nil if it did not.
  public var since: WallTime?
  /// Why the region is offline: a constant of ``Farewell``.
  public var reason: String?
  public var data: String?
  public var tasks: [NodeStatus]

  public init(
    region: NodeID, declared: Bool, online: Bool, silentSeconds: Double? = nil, since: WallTime? = nil, reason: String? = nil,
    data: String?, tasks: [NodeStatus]
  ) {
    self.since = since
    self.reason = reason
    self.silentSeconds = silentSeconds
    self.region = region
    self.declared = declared
    self.online = online
    self.data = data
    self.tasks = tasks
  }
}

/// `GET /v1/nodes`, one element each; at central over all regions that answer.
public struct NodeSummary: Codable, Hashable, Sendable {
  public var path: NodePath
  public var state: NodeState
  /// Since when it has not answered an invitation, and nothing was heard of it; nil when it is not silent.
  public var silentSeconds: Double?
  /// When the region first heard that the device is online or offline; nil if it did not.
  public var since: WallTime?
  public var tasks: [NodeStatus]

  public init(path: NodePath, state: NodeState, silentSeconds: Double? = nil, since: WallTime? = nil, tasks: [NodeStatus]) {
    self.since = since
    self.silentSeconds = silentSeconds
    self.path = path
    self.state = state
    self.tasks = tasks
  }
}

/// `POST /v1/tasks/check`: what a push would do.
public struct TaskCheck: Codable, Hashable, Sendable {
  public var problems: [FieldProblem]
  /// Devices that match the selector and the requirements now.
  public var matching: [NodePath]
  /// Devices that do not, with why.
  public var others: [Waiting]
  /// Regions that did not answer.
  public var unreachable: [Waiting]
  /// Size of the task's descriptor, of at most 4,096 bytes. Version 0.1.0 does not send it.
  public var descriptorBytes: Int?

  public init(
    problems: [FieldProblem], matching: [NodePath], others: [Waiting], unreachable: [Waiting], descriptorBytes: Int? = nil
  ) {
    self.descriptorBytes = descriptorBytes
    self.problems = problems
    self.matching = matching
    self.others = others
    self.unreachable = unreachable
  }
}

/// `GET /v1/info`: what a client needs to know about a server: the brokers to tail.
public struct ServerInfo: Codable, Hashable, Sendable {
  public var coordinator: NodeID
  public var version: String
  /// `mqtt://host:port`
  public var broker: String
  public var data: String

  public init(coordinator: NodeID, version: String, broker: String, data: String) {
    self.coordinator = coordinator
    self.version = version
    self.broker = broker
    self.data = data
  }
}

/// `GET /v1/tasks/{t}/rounds/{n}/{updates|evaluations}` on the data plane: what the ledger has, for scouts and participants.
public struct PhaseLedger: Codable, Hashable, Sendable {
  public var task: TaskID
  public var round: Int
  public var phase: Phase
  public var open: Bool
  public var accepted: [NodePath]

  public init(task: TaskID, round: Int, phase: Phase, open: Bool, accepted: [NodePath]) {
    self.task = task
    self.round = round
    self.phase = phase
    self.open = open
    self.accepted = accepted
  }
}

/// An evaluation that a device uploads.
public struct Evaluation: Codable, Hashable, Sendable {
  /// The model that was evaluated.
  public var base: Digest
  public var weight: Double
  /// Devices behind it, of a region's; nil: one.
  public var count: Int?
  public var metrics: [String: Double]

  public init(base: Digest, weight: Double, count: Int? = nil, metrics: [String: Double]) {
    self.base = base
    self.weight = weight
    self.count = count
    self.metrics = metrics
  }
}

/// The version that every program of this tree announces.
public enum Muster {
  public static let version = "0.1.0"
}
