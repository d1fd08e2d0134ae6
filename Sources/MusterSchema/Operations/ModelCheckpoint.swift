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
