package import Logging
package import MusterSchema
package import MusterStorage
import Synchronization

/// Removes blobs that nothing refers to any more: what loses its last reference goes at once, what never had one (a crash left it behind) in a
/// look at every blob, now and then.
package actor BlobCollector {
  private let store: Store
  private let interval: Duration
  private let age: Duration
  private let logger: Logger
  private var referenced: Set<Digest> = []
  private var released: Set<Digest> = []
  private var swept: ContinuousClock.Instant?

  /// - Parameters:
  ///   - interval: between two looks at everything.
  ///   - age: a released blob that is younger stays until the next collection: the same bytes may just have come again.
  package init(store: Store, interval: Duration = .seconds(600), age: Duration = .seconds(10), logger: Logger) {
    self.store = store
    self.interval = interval
    self.age = age
    self.logger = logger
  }

  /// - Parameter referenced: everything that is referred to after the newest change.
  package func collect(keeping referenced: Set<Digest>) async {
    released = released.union(self.referenced).subtracting(referenced)
    self.referenced = referenced
    await discard()
    if swept.map({ .now - $0 >= interval }) ?? true { await sweep(keeping: referenced) }
  }

  /// A look at everything that is old enough, outside the order of the changes.
  package func sweep(keeping referenced: Set<Digest>) async {
    swept = .now
    // What was let go may be referred to again, though no collection has said so yet.
    released.subtract(referenced)
    await discard()
    let store = store
    report(await offloading { store.collect(keeping: referenced) })
  }

  private func discard() async {
    let (store, age, candidates) = (store, age, released)
    guard !candidates.isEmpty else { return }
    let (freed, left) = await offloading { store.blobs.discard(candidates, olderThan: age) }
    released.subtract(candidates.subtracting(left))
    report(freed)
  }

  private func report(_ freed: Int) {
    if freed > 0 { logger.debug("collected what is no longer referenced", metadata: ["bytes": "\(freed)"]) }
  }
}
