import MusterGround
package import MusterShell
import Synchronization

/// Runs the pieces of a ``WorkQueue``, each in its own task.
package final class WorkRunner<Key: Hashable & Sendable, Item: Sendable>: Sendable {
  package typealias Queue = WorkQueue<Key, Item>

  private let queue: Mutex<Queue>
  private let bell = Bell()

  package init(width: Int) { queue = Mutex(WorkQueue(width: width)) }

  /// See ``WorkQueue/add(_:_:again:)``.
  package func add(_ key: Key, _ item: Item, again: Bool = false) {
    queue.withLock { $0.add(key, item, again: again) }
    bell.ring()
  }

  /// Runs pieces until the task is cancelled. Each run returns whether the piece is to be run again.
  package func runAttempts(_ work: @escaping @Sendable (Item) async -> Queue.End) async {
    await withDiscardingTaskGroup { group in
      while !Task.isCancelled {
        while let (key, item) = queue.withLock({ $0.take() }) {
          group.addTask {
            let end = await work(item)
            guard let pause = self.change({ $0.ended(key, end) }) else { return }
            do { try await Task.sleep(for: .seconds(pause)) } catch { return }
            self.change { $0.resume(key) }
          }
        }
        await bell.wait()
      }
      group.cancelAll()
    }
  }

  /// Runs pieces until the task is cancelled, each of them once.
  package func run(_ work: @escaping @Sendable (Item) async -> Void) async {
    await runAttempts { item in
      await work(item)
      return .finished
    }
  }

  @discardableResult
  private func change<Result>(_ body: (inout Queue) -> Result) -> Result {
    defer { bell.ring() }
    return queue.withLock { body(&$0) }
  }
}
