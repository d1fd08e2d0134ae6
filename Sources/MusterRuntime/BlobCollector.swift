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

  package func collect(keeping referenced: Set<Digest>) async {
    released = released.union(self.referenced).subtracting(referenced)
    self.referenced = referenced
    let now = ContinuousClock.now
    let sweeps = swept.map { now - $0 >= interval } ?? true
    if sweeps { swept = now }
    let (store, age, candidates) = (store, age, released)
    let (freed, left) = await offloading { () -> (Int, Set<Digest>) in
      let (freed, left) = store.blobs.discard(candidates, olderThan: age)
      return (freed + (sweeps ? store.collect(keeping: referenced) : 0), left)
    }
    released.subtract(candidates.subtracting(left))
    if freed > 0 { logger.debug("collected what is no longer referenced", metadata: ["bytes": "\(freed)"]) }
  }
}
