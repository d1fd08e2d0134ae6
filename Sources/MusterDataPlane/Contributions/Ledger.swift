package import MusterCoordination
package import MusterSchema
import MusterServer

/// The coordinator behind a data plane, which decides which contributions count.
package protocol Ledger: Sendable {
  /// Decides before the body is read whether the contribution may be uploaded. Never ``UploadAdmission/past(_:)``.
  ///
  /// - Throws: 503 when the ledger cannot answer now.
  func admission(_ key: ContributionKey, ticket: Ticket?) async throws(Problem) -> UploadAdmission

  /// Decides whether a contribution counts whose bytes are checked and durable. Answers once the decision is durable too.
  ///
  /// - Throws: 503 or 507 when the decision could not be made durable.
  func accept(_ contribution: ContributionRecord, as key: ContributionKey) async throws(Problem) -> Coordinator.Answer

  /// The contributions that count in a phase; `nil` when the ledger does not know the task or the round.
  func phaseLedger(task: TaskID, round: Int, phase: Phase) async throws(Problem) -> PhaseLedger?
}

/// Where the data plane finds the bytes of a blob: the store, or a cache that fetches.
package protocol BlobSource: Sendable {
  /// A blob's file.
  ///
  /// - Throws: the problem to answer with: 404 when nobody has it, 503 when it cannot be fetched now.
  func locate(_ digest: Digest) async throws(Problem) -> String
}
