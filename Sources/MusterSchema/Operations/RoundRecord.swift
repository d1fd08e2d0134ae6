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
