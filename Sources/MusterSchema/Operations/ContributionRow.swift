/// The fate of a contribution that was answered with 201, or of an invitation that no contribution followed.
package enum Fate: String, Codable, Hashable, Sendable, CaseIterable {
  /// The contribution was accepted, and its round is still open.
  case accepted
  /// The contribution is part of the round's result.
  case counted
  /// The strategy refused the contribution.
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

/// `GET /v1/contributions`, one element: a contribution, or an invitation that no contribution followed.
package struct ContributionRow: Codable, Hashable, Sendable {
  package var task: TaskID
  package var round: Int
  package var phase: Phase
  /// The node's path. For an invitation it is ``Waiting/node`` of the round's record.
  package var node: String
  package var fate: Fate
  package var reason: String?
  /// Digest of the contribution; `nil` for an invitation, as are the members that follow.
  package var digest: Digest?
  package var weight: Double?
  package var bytes: Int?
  /// Number of devices behind the contribution; `nil` means one.
  package var count: Int?
  package var metrics: [String: Double]?
  /// When the contribution was accepted, or the invitation recorded as missed; `nil` for rows of version 0.1.0.
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
