import MusterShell
import Synchronization

/// Runs the pieces of a ``WorkQueue``, each in a task of its own.
package final class WorkRunner<Key: Hashable & Sendable, Item: Sendable>: Sendable {
  private let queue: Mutex<WorkQueue<Key, Item>>
  private let bell: AsyncStream<Void>
  private let ring: AsyncStream<Void>.Continuation

  package init(width: Int) {
    queue = Mutex(WorkQueue(width: width))
    (bell, ring) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// See ``WorkQueue/add(_:_:again:)``.
  package func add(_ key: Key, _ item: Item, again: Bool = false) {
    queue.withLock { $0.add(key, item, again: again) }
    ring.yield()
  }

  /// Works until the task is cancelled.
  package func run(_ work: @escaping @Sendable (Item) async -> Void) async {
    await withDiscardingTaskGroup { group in
      for await _ in bell {
        while let (key, item) = queue.withLock({ $0.take() }) {
          group.addTask {
            await work(item)
            self.queue.withLock { $0.finished(key) }
            self.ring.yield()
          }
        }
      }
      group.cancelAll()
    }
  }
}
