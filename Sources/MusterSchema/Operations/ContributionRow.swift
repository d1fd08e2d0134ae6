/// What became of a contribution that was answered with 201, or of an invitation that no contribution followed.
package enum Fate: String, Codable, Hashable, Sendable, CaseIterable {
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

/// `GET /v1/contributions`, one element each: what became of a contribution, or of an invitation that none followed.
package struct ContributionRow: Codable, Hashable, Sendable {
  package var task: TaskID
  package var round: Int
  package var phase: Phase
  /// The node's path, or what else did not deliver.
  package var node: String
  package var fate: Fate
  package var reason: String?
  /// Of a contribution; nil when there is none.
  package var digest: Digest?
  package var weight: Double?
  package var bytes: Int?
  /// Devices behind it; nil: one.
  package var count: Int?
  package var metrics: [String: Double]?
  /// When it was accepted, or missed; nil for rows of version 0.1.0.
  package var at: WallTime?

  package init(
    task: TaskID, round: Int, phase: Phase, node: String, fate: Fate, reason: String? = nil, digest: Digest? = nil, weight: Double? = nil,
    bytes: Int? = nil, count: Int? = nil, metrics: [String: Double]? = nil, at: WallTime? = nil
  ) {
    self.task = task
    self.round = round
    self.phase = phase
    self.node = node
    self.fate = fate
    self.reason = reason
    self.digest = digest
    self.weight = weight
    self.bytes = bytes
    self.count = count
    self.metrics = metrics
    self.at = at
  }
}
