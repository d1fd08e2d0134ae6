package import MusterSchema
import MusterServer

/// Who decides which contributions count: the coordinator behind a data plane.
package protocol Ledger: Sendable {
  /// Asked before a body is read: may this node contribute, and within which bounds.
  func admission(_ key: ContributionKey, ticket: Ticket?) async -> ContributionAdmission
  /// Asked when the bytes are stored and durable. Answers once the acceptance is durable too.
  func accept(_ offer: ContributionOffer) async -> Acceptance
  /// What the ledger has of a phase; nil when it does not know the task or the round.
  func phaseLedger(task: TaskID, round: Int, phase: Phase) async throws(Problem) -> PhaseLedger?
}

/// Where the data plane finds the bytes of a blob: the store, or a cache that fetches.
package protocol BlobSource: Sendable {
  /// A blob's file.
  ///
  /// - Throws: the problem to answer with: 404 when nobody has it, 503 when it cannot be fetched now.
  func locate(_ digest: Digest) async throws(Problem) -> String
}

/// A ledger's word before the body.
package enum ContributionAdmission: Hashable, Sendable {
  /// Send it.
  ///
  /// - Parameters:
  ///   - base: the model that it must have started from.
  ///   - maximumWeight: the task's.
  ///   - maximumBytes: of the body.
  ///   - maximumDevices: that it may stand for, and whose weights it may sum.
  ///   - required: the tensors that an update must hold; nil: all of the base's. Others of the base's may be there.
  ///   - anyFloatingPoint: whether its numbers may come in another precision than the base's.
  ///   - encoding: the task's.
  case open(
    base: Digest, maximumWeight: Double, maximumBytes: Int, maximumDevices: Int = 1, required: Set<String>? = nil,
    anyFloatingPoint: Bool = false, encoding: EncodingSpecification = .float32)
  /// One of this node counts already, with this digest: 200 for the same bytes, else 409.
  case accepted(Digest)
  /// 404.
  case unknown
  /// 410, with the reason.
  case closed(String)
  /// 403: a wrong ticket, with the reason.
  case refused(String)
  /// 429; seconds.
  case busy(retryAfter: Double)
  /// 503: the ledger cannot answer now.
  case unavailable
}

/// A contribution whose bytes are checked and durable.
package struct ContributionOffer: Hashable, Sendable {
  package var key: ContributionKey
  /// Of the body.
  package var digest: Digest
  package var bytes: Int
  package var weight: Double
  /// Devices behind it; nil: one.
  package var count: Int?
  package var metrics: [String: Double]
  package var base: Digest

  package init(
    key: ContributionKey, digest: Digest, bytes: Int, weight: Double, count: Int? = nil, metrics: [String: Double], base: Digest
  ) {
    self.key = key
    self.digest = digest
    self.bytes = bytes
    self.weight = weight
    self.count = count
    self.metrics = metrics
    self.base = base
  }
}

/// A ledger's last word on a contribution.
package enum Acceptance: Hashable, Sendable {
  /// 201: it counts, durably.
  case stored
  /// 200: it counted already.
  case same
  /// 409: another one of this node counts already.
  case conflict
  /// 404.
  case unknown
  /// 410, with the reason.
  case closed(String)
  /// 422, with the reason: its numbers cannot be counted.
  case invalid(String)
  /// 503: could not be made durable now.
  case unavailable
  /// 507: could not be made durable, the disk is full.
  case full
}
