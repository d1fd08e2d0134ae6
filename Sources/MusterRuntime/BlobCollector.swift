package import Logging
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
  /// What the machine refers to.
  private var referenced: Set<Digest> = []
  /// What the machine no longer refers to, and was not removed yet.
  private var released: Set<Digest> = []
  private var swept: ContinuousClock.Instant?

  /// Blobs that the history released, of one look.
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
    released = released.union(self.referenced).subtracting(referenced)
    self.referenced = referenced
    await discard()
    await removeForgotten()
    if swept.map({ .now - $0 >= interval }) ?? true { await sweep(keeping: referenced) }
  }

  /// A look at everything that is old enough, outside the order of the changes.
  package func sweep(keeping referenced: Set<Digest>) async {
    swept = .now
    // What was let go may be referred to again, though no collection has said so yet.
    released.subtract(referenced)
    self.referenced.formUnion(referenced)
    await discard()
    await removeForgotten()
    let (state, store) = (state, state.store)
    do throws(StorageError) {
      var freed = await offloading { state.partials.collect() + state.blobs.clearStaging() }
      for prefix in 0..<BlobFolder.prefixes {
        let here = await offloading { state.blobs.old(prefix: prefix) }
        let unreferenced = here.subtracting(try await store.keptBlobs(among: here)).subtracting(self.referenced)
        freed += await offloading { state.blobs.discard(unreferenced, olderThan: BlobFolder.sweepAge).freed }
      }
      report(freed)
    } catch {
      logger.warning("the state folder is not swept yet: \(error)")
    }
  }

  private func discard() async {
    let (state, age) = (state, age)
    do throws(StorageError) {
      let releases = try await state.store.releasedBlobs(most: Self.most)
      let candidates = released.union(releases.values)
      guard !candidates.isEmpty else { return }
      let kept = try await state.store.keptBlobs(among: candidates)
      let (freed, left) = await offloading { [referenced] in
        state.blobs.discard(candidates.subtracting(kept).subtracting(referenced), olderThan: age)
      }
      released.subtract(candidates.subtracting(left))
      try await state.store.settleReleased(releases.filter { !left.contains($0.value) }.map(\.key))
      report(freed)
    } catch {
      logger.warning("released blobs are not removed yet: \(error)")
    }
  }

  /// A region that forgets a task has its rows removed in small pieces, so that its commits do not wait.
  private func removeForgotten() async {
    do throws(StorageError) {
      while try await state.store.removeForgotten(), !Task.isCancelled {}
    } catch {
      logger.warning("rows of forgotten tasks are not removed yet: \(error)")
    }
  }

  private func report(_ freed: Int) {
    if freed > 0 { logger.debug("collected what is no longer referenced", metadata: ["bytes": "\(freed)"]) }
  }
}
