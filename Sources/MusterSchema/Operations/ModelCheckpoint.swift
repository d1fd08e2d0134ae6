/// A global model of central's history. Round 0 is the initial model.
package struct ModelCheckpoint: Codable, Hashable, Sendable {
  package var round: Int
  package var digest: Digest
  package var bytes: Int
  /// The encoded model that devices download instead, if the task's encoding is not float32.
  package var wire: ModelReference?
  /// Metrics of central's evaluation.
  package var metrics: [String: Double]?
  /// Weighted metrics of the devices' evaluations.
  package var deviceMetrics: [String: Double]?
  /// False after retention has removed the model.
  package var kept: Bool
  /// Blob with the server optimizer's state after this round; `nil` if it has none. Kept as long as the model.
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

  /// The model that devices download.
  package var distributed: ModelReference { wire ?? ModelReference(digest: digest, bytes: bytes) }
}
