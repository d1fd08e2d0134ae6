package import Logging
package import MusterSchema
package import MusterStorage
import Synchronization

/// Removes blobs that nothing refers to, not more often than it is worth: a collection looks at every blob there is, and what is younger
/// than an hour stays anyway.
package final class BlobCollector: Sendable {
  private let store: Store
  private let interval: Duration
  private let logger: Logger
  private let last = Mutex(ContinuousClock.Instant?.none)

  package init(store: Store, interval: Duration = .seconds(60), logger: Logger) {
    self.store = store
    self.interval = interval
    self.logger = logger
  }

  /// Collects, unless it did so within the interval.
  package func collect(keeping referenced: Set<Digest>) async {
    let isDue = last.withLock { last in
      let now = ContinuousClock.now
      if let last, now - last < interval { return false }
      last = now
      return true
    }
    guard isDue else { return }
    let store = store
    let freed = await offloading { store.collect(keeping: referenced) }
    if freed > 0 { logger.info("collected what is no longer referenced", metadata: ["bytes": "\(freed)"]) }
  }
}
