package import Logging
import MusterGround
package import MusterSchema
package import MusterStorage

/// Removes blobs without a reference.
///
/// A blob that loses its last reference is removed soon after. A blob that never had one, because a crash left it, is removed by an
/// occasional scan of all blobs. References come from the machine, for work in progress, and from the history, for finished rounds that
/// retention keeps.
package actor BlobCollector {
  private let state: StateFolder
  private let interval: Duration
  private let age: Duration
  private let logger: Logger
  /// A blob that lost a reference.
  private struct Candidate {
    /// When it is checked next.
    var due = ContinuousClock.now
    /// Numbers of the history's rows that released it.
    var numbers: [Int] = []
  }

  /// The blobs to which the machine refers.
  private var referenced: Set<Digest> = []
  private var candidates: [Digest: Candidate] = [:]
  /// Number of the last history row that was read.
  private var lastNumber = 0
  private var swept: ContinuousClock.Instant?

  /// Number of history rows that are read at a time.
  private static let most = 10_000

  /// - Parameters:
  ///   - interval: time between two scans of all blobs.
  ///   - age: released blobs that are younger stay until the next collection, because the same bytes may just have been uploaded again.
  package init(state: StateFolder, interval: Duration = .seconds(600), age: Duration = .seconds(10), logger: Logger) {
    self.state = state
    self.interval = interval
    self.age = age
    self.logger = logger
  }

  /// - Parameter referenced: all blobs to which the machine refers after the newest change.
  package func collect(keeping referenced: Set<Digest>) async {
    for digest in self.referenced.subtracting(referenced) { candidates[digest, default: Candidate()].due = .now }
    self.referenced = referenced
    await discard()
    await removeForgotten()
    if swept.map({ .now - $0 >= interval }) ?? true { await sweep(keeping: referenced) }
  }

  /// Scans all blobs and removes those that are old enough and have no reference. It may run between two collections.
  package func sweep(keeping referenced: Set<Digest>) async {
    swept = .now
    // A released blob may have a new reference that no collection has reported yet.
    self.referenced.formUnion(referenced)
    // Read all rows again, so that a row that became visible late is not missed forever.
    (lastNumber, candidates) = (0, candidates.filter { !referenced.contains($0.key) })
    await discard()
    await removeForgotten()
    let (state, store) = (state, state.store)
    do throws(StorageError) {
      var freed = await offload { state.partials.collect() + state.blobs.clearStaging() }
      for prefix in 0..<BlobFolder.prefixes {
        let here = await offload { state.blobs.old(prefix: prefix) }
        let unreferenced = here.subtracting(try await store.keptBlobs(among: here)).subtracting(self.referenced)
        freed += await offload { state.blobs.discard(unreferenced, olderThan: BlobFolder.sweepAge).freed }
      }
      report(freed)
    } catch {
      logger.warning("the state folder cannot be cleaned up yet: \(error)")
    }
  }

  private func discard() async {
    let (state, age) = (state, age)
    do throws(StorageError) {
      try await readReleased()
      let now = ContinuousClock.now
      let due = Set(candidates.filter { $0.value.due <= now }.keys)
      guard !due.isEmpty else { return }
      let kept = try await state.store.keptBlobs(among: due)
      let (freed, left) = await offload { [referenced] in
        state.blobs.discard(due.subtracting(kept).subtracting(referenced), olderThan: age)
      }
      for digest in left { candidates[digest]?.due = now + age }
      let settled = due.subtracting(left)
      let numbers = settled.flatMap { candidates.removeValue(forKey: $0)?.numbers ?? [] }
      try await state.store.settleReleased(numbers)
      report(freed)
    } catch {
      logger.warning("released blobs cannot be removed yet: \(error)")
    }
  }

  private func readReleased() async throws(StorageError) {
    while true {
      let rows = try await state.store.releasedBlobs(after: lastNumber, most: Self.most)
      for row in rows where candidates[row.digest]?.numbers.contains(row.number) != true {
        candidates[row.digest, default: Candidate()].numbers.append(row.number)
      }
      lastNumber = rows.last?.number ?? lastNumber
      if rows.count < Self.most { return }
    }
  }

  /// Removes the rows of forgotten tasks in small steps, so that commits of a region do not wait long.
  private func removeForgotten() async {
    do throws(StorageError) {
      while try await state.store.removeForgotten(), !Task.isCancelled {}
    } catch {
      logger.warning("rows of forgotten tasks cannot be removed yet: \(error)")
    }
  }

  private func report(_ freed: Int) {
    if freed > 0 { logger.debug("removed unreferenced blobs", metadata: ["bytes": "\(freed)"]) }
  }
}
