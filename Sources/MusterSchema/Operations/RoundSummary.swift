/// `GET /v1/tasks/{task}/rounds`, one element each: a round that is over, without the names of the nodes that took part.
package struct RoundSummary: Codable, Hashable, Sendable {
  package var round: Int
  package var attempts: Int
  package var base: Digest
  package var result: Digest?
  package var updates: Updates
  package var evaluations: Int
  /// How many invited nodes did not deliver.
  package var missing: Int
  /// The first of them, at most five.
  package var missed: [Waiting]
  /// Central's evaluation of the result.
  package var metrics: [String: Double]?
  /// The devices' evaluations, weighted.
  package var deviceMetrics: [String: Double]?
  /// From the round's opening to its end, of the coordinator's own time.
  package var seconds: Double
  /// When it ended, in UTC, for people.
  package var ended: WallTime?

  /// What a round's updates come to.
  package struct Updates: Codable, Hashable, Sendable {
    /// How many were accepted, those that did not count included.
    package var accepted: Int
    /// How many counted.
    package var counted: Int
    /// Devices behind the accepted ones.
    package var devices: Int
    /// Devices behind those that counted.
    package var countedDevices: Int
    /// The weights of those that counted.
    package var samples: Double
    /// Of all that were accepted.
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

  /// The most nodes that are named in ``missed``.
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

  /// Contributions, and invitations that none followed.
  package var rows: Int { [updates.accepted, evaluations, missing].saturatingSum() }
}

extension RoundSummary {
  /// As ``ModelCheckpoint/evaluation``.
  package var evaluation: [String: Double]? { merged(metrics, deviceMetrics) }
}
