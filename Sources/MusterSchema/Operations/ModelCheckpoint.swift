/// A global model that central keeps. Round 0 is the initial one.
package struct ModelCheckpoint: Codable, Hashable, Sendable {
  package var round: Int
  package var digest: Digest
  package var bytes: Int
  /// What devices download instead, when the task's encoding is another than float32.
  package var wire: ModelReference?
  /// Central's evaluation.
  package var metrics: [String: Double]?
  /// The devices' evaluations, weighted.
  package var deviceMetrics: [String: Double]?
  /// False when retention has collected it.
  package var kept: Bool
  /// What the server optimizer remembers from this round, a blob; nil when it remembers nothing. Kept as long as the model.
  package var state: Digest?

  package init(
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
  package var distributed: ModelReference { wire ?? ModelReference(digest: digest, bytes: bytes) }
}
