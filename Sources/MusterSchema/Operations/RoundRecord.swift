/// One closed round: its base, its contributions, its result, and the nodes that missed it. Records are never changed.
package struct RoundRecord: Codable, Hashable, Sendable {
  package var round: Int
  package var attempts: Int
  package var base: Digest
  package var result: Digest?
  package var strategy: StrategySpecification
  package var updates: [ContributionRecord]
  package var evaluations: [ContributionRecord]
  /// Invited nodes that did not deliver.
  package var missed: [Waiting]
  /// Central's evaluation of the result.
  package var metrics: [String: Double]?
  /// Weighted metrics of the devices' evaluations.
  package var deviceMetrics: [String: Double]?
  /// Seconds from the round's opening to its end, measured in the coordinator's own time.
  package var seconds: Double
  /// When the round ended, in UTC, for people. The record in the journal does not have it; central's ops API adds it.
  package var ended: WallTime?

  package init(
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
