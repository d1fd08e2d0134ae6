import GRDB
import MusterSchema
import Testing

@testable import MusterStorage

// Short forms of the store's functions for the tests.
extension StateFolder {
  @discardableResult
  func append(_ entries: [JournalEntry], replacing ranges: [JournalRange] = []) async throws -> WallTime {
    try await store.commit(StoreTransaction(entries, replacing: ranges))
  }

  /// Removes every entry of a task from a journal.
  func forget(machine: String, task: TaskID) async throws {
    try await store.commit(StoreTransaction(replacing: [JournalRange(machine: machine, task: task)]))
  }

  func entries(machine: String) async throws -> [JournalEntry] { try await store.entries(machine: machine) }

  /// The store as an `SQLiteStore`.
  var sqlite: SQLiteStore { get throws { try #require(store as? SQLiteStore) } }

  /// Removes the old blobs that are not kept, as a sweep does.
  func sweep(keeping kept: Set<Digest>, olderThan age: Duration) -> Int {
    (0..<BlobFolder.prefixes).reduce(blobs.clearStaging(olderThan: age)) { freed, prefix in
      freed + blobs.discard(blobs.old(prefix: prefix, olderThan: age).subtracting(kept), olderThan: age).freed
    }
  }
}
