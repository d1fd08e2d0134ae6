/// `GET /v1/tasks/{task}/rounds`, one element each: a finished round without the list of its contributions.
package struct RoundSummary: Codable, Hashable, Sendable {
  package var round: Int
  package var attempts: Int
  package var base: Digest
  package var result: Digest?
  package var updates: Updates
  package var evaluations: Int
  /// Number of invited nodes that did not deliver.
  package var missing: Int
  /// The first of these nodes, at most ``mostMissed``.
  package var missed: [Waiting]
  /// Central's evaluation of the result.
  package var metrics: [String: Double]?
  /// Weighted metrics of the devices' evaluations.
  package var deviceMetrics: [String: Double]?
  /// Seconds from the round's opening to its end, measured in the coordinator's own time.
  package var seconds: Double
  /// When the round ended, in UTC, for people.
  package var ended: WallTime?

  /// Totals of a round's updates.
  package struct Updates: Codable, Hashable, Sendable {
    /// Number of accepted updates, including those that did not count.
    package var accepted: Int
    /// Number of updates that counted.
    package var counted: Int
    /// Devices behind the accepted updates.
    package var devices: Int
    /// Devices behind the updates that counted.
    package var countedDevices: Int
    /// Sum of the weights of the updates that counted.
    package var samples: Double
    /// Bytes of all accepted updates.
    package var bytes: Int

    package init(accepted: Int, counted: Int, devices: Int, countedDevices: Int, samples: Double, bytes: Int) {
      self.accepted = accepted
      self.counted = counted
      self.devices = devices
      self.countedDevices = countedDevices
      self.samples = samples
      self.bytes = bytes
    }

    package init(_ updates: [ContributionRecord]) {
      let counting = updates.filter { $0.fate == .counted }
      self.init(
        accepted: updates.count, counted: counting.count, devices: updates.map(\.devices).saturatingSum(),
        countedDevices: counting.map(\.devices).saturatingSum(), samples: counting.reduce(0) { $0 + $1.weight },
        bytes: updates.map(\.bytes).saturatingSum())
    }
  }

  /// Largest number of nodes in ``missed``.
  package static let mostMissed = 5

  package init(
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

  package init(_ record: RoundRecord) {
    self.init(
      round: record.round, attempts: record.attempts, base: record.base, result: record.result, updates: Updates(record.updates),
      evaluations: record.evaluations.count, missing: record.missed.count, missed: Array(record.missed.prefix(Self.mostMissed)),
      metrics: record.metrics, deviceMetrics: record.deviceMetrics, seconds: record.seconds, ended: record.ended)
  }

  /// Number of rows: contributions, and invitations that no contribution followed.
  package var rows: Int { [updates.accepted, evaluations, missing].saturatingSum() }
}

extension RoundSummary {
  /// See ``ModelCheckpoint/evaluation``.
  package var evaluation: [String: Double]? { merged(metrics, deviceMetrics) }
}
