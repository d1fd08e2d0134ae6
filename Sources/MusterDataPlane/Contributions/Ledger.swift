package import MusterCoordination
package import MusterSchema

/// The coordinator behind a data plane, which decides which contributions count.
package protocol Ledger: Sendable {
  /// Decides before the body is read whether the contribution may be uploaded.
  ///
  /// - Throws: 503 if the ledger cannot answer now.
  func admission(_ key: ContributionKey, ticket: Ticket?) async throws(Problem) -> UploadAdmission

  /// Decides whether a checked and durable contribution counts. Returns when the decision is durable too.
  ///
  /// - Throws: 503 or 507 if the decision could not be made durable.
  func accept(_ contribution: ContributionRecord, as key: ContributionKey) async throws(Problem) -> Coordinator.Answer

  /// The contribution that counted for a path in a phase that is over; `nil` if none did.
  ///
  /// - Throws: 503 if the ledger cannot answer now.
  func counted(_ key: ContributionKey) async throws(Problem) -> ContributionRecord?

  /// The contributions that count in a phase; `nil` if the ledger does not know the task or the round.
  func phaseLedger(task: TaskID, round: Int, phase: Phase) async throws(Problem) -> PhaseLedger?
}

/// Finds blobs for the data plane: a store, or a cache that fetches missing blobs.
package protocol BlobSource: Sendable {
  /// The path of a blob's file.
  ///
  /// - Throws: the problem to answer with: 404 if there is no such blob, 502 or 503 if it cannot be fetched now.
  func locate(_ digest: Digest) async throws(Problem) -> String
}
