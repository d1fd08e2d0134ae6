package import Logging
import MusterGround
package import MusterSchema
package import MusterStorage

/// Removes blobs that nothing refers to any more: what loses its last reference goes at once, what never had one (a crash left it behind) in a
/// look at every blob, now and then.
///
/// Two refer to blobs: the machine, for what is in progress, and the history, for what retention keeps of rounds that are over.
package actor BlobCollector {
  private let state: StateFolder
  private let interval: Duration
  private let age: Duration
  private let logger: Logger
  /// A blob that lost a reference.
  private struct Candidate {
    /// When it is looked at again.
    var due = ContinuousClock.now
    /// Of the history's rows that released it.
    var numbers: [Int] = []
  }

  /// What the machine refers to.
  private var referenced: Set<Digest> = []
  private var candidates: [Digest: Candidate] = [:]
  /// Of the history's rows, the last that was read.
  private var lastNumber = 0
  private var swept: ContinuousClock.Instant?

  /// Rows of the history at a time.
  private static let most = 10_000

  /// - Parameters:
  ///   - interval: between two looks at everything.
  ///   - age: a released blob that is younger stays until the next collection: the same bytes may just have come again.
  package init(state: StateFolder, interval: Duration = .seconds(600), age: Duration = .seconds(10), logger: Logger) {
    self.state = state
    self.interval = interval
    self.age = age
    self.logger = logger
  }

  /// - Parameter referenced: everything that the machine refers to after the newest change.
  package func collect(keeping referenced: Set<Digest>) async {
    for digest in self.referenced.subtracting(referenced) { candidates[digest, default: Candidate()].due = .now }
    self.referenced = referenced
    await discard()
    await removeForgotten()
    if swept.map({ .now - $0 >= interval }) ?? true { await sweep(keeping: referenced) }
  }

  /// A look at everything that is old enough, outside the order of the changes.
  package func sweep(keeping referenced: Set<Digest>) async {
    swept = .now
    // What was let go may be referred to again, though no collection has said so yet.
    self.referenced.formUnion(referenced)
    // All of them anew: a row that became visible late is not missed for ever.
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

  /// A region that forgets a task has its rows removed in small pieces, so that its commits do not wait.
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
