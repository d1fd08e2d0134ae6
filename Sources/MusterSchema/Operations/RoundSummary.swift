/// `GET /v1/tasks/{task}/rounds`, one element each: a round that is over, without the names of the nodes that took part.
public struct RoundSummary: Codable, Hashable, Sendable {
  public var round: Int
  public var attempts: Int
  public var base: Digest
  public var result: Digest?
  public var updates: Updates
  public var evaluations: Int
  /// How many invited nodes did not deliver.
  public var missing: Int
  /// The first of them, at most five.
  public var missed: [Waiting]
  /// Central's evaluation of the result.
  public var metrics: [String: Double]?
  /// The devices' evaluations, weighted.
  public var deviceMetrics: [String: Double]?
  /// From the round's opening to its end, of the coordinator's own time.
  public var seconds: Double
  /// When it ended, in UTC, for people.
  public var ended: WallTime?

  /// What a round's updates come to.
  public struct Updates: Codable, Hashable, Sendable {
    /// How many were accepted, those that did not count included.
    public var accepted: Int
    /// How many counted.
    public var counted: Int
    /// Devices behind the accepted ones.
    public var devices: Int
    /// Devices behind those that counted.
    public var countedDevices: Int
    /// The weights of those that counted.
    public var samples: Double
    /// Of all that were accepted.
    public var bytes: Int

    public init(accepted: Int, counted: Int, devices: Int, countedDevices: Int, samples: Double, bytes: Int) {
      self.accepted = accepted
      self.counted = counted
      self.devices = devices
      self.countedDevices = countedDevices
      self.samples = samples
      self.bytes = bytes
    }

    public init(_ updates: [ContributionRecord]) {
      let counting = updates.filter { $0.fate == .counted }
      self.init(
        accepted: updates.count, counted: counting.count, devices: updates.map(\.devices).saturatingSum(),
        countedDevices: counting.map(\.devices).saturatingSum(), samples: counting.reduce(0) { $0 + $1.weight },
        bytes: updates.map(\.bytes).saturatingSum())
    }
  }

  /// The most nodes that are named in ``missed``.
  public static let mostMissed = 5

  public init(
    round: Int, attempts: Int, base: Digest, result: Digest?, updates: Updates, evaluations: Int, missing: Int, missed: [Waiting],
    metrics: [String: Double]?, deviceMetrics: [String: Double]?, seconds: Double, ended: WallTime? = nil
  ) {
    self.round = round
    self.attempts = attempts
    self.base = base
    self.result = result
    self.updates = updates
    self.evaluations = evaluations
    self.missing = missing
    self.missed = missed
    self.metrics = metrics
    self.deviceMetrics = deviceMetrics
    self.seconds = seconds
    self.ended = ended
  }

  public init(_ record: RoundRecord) {
    self.init(
      round: record.round, attempts: record.attempts, base: record.base, result: record.result, updates: Updates(record.updates),
      evaluations: record.evaluations.count, missing: record.missed.count, missed: Array(record.missed.prefix(Self.mostMissed)),
      metrics: record.metrics, deviceMetrics: record.deviceMetrics, seconds: record.seconds, ended: record.ended)
  }

  /// Contributions, and invitations that none followed.
  public var rows: Int { [updates.accepted, evaluations, missing].saturatingSum() }
}

extension RoundSummary {
  /// As ``ModelCheckpoint/evaluation``.
  public var evaluation: [String: Double]? { merged(metrics, deviceMetrics) }
}
