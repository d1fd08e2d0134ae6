import Synchronization

/// Long work beside the machine: each piece once at a time, however often it is asked for, and a bounded number at once.
package final class WorkQueue<Key: Hashable & Sendable, Item: Sendable>: Sendable {
  private struct State {
    var running: Set<Key> = []
    var waiting: [(key: Key, item: Item)] = []
    var waitingKeys: Set<Key> = []
  }

  private let state = Mutex(State())
  private let bell: AsyncStream<Void>
  private let ring: AsyncStream<Void>.Continuation
  private let width: Int

  package init(width: Int) {
    self.width = width
    (bell, ring) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// False when the same piece already waits or runs. The queue is bounded by its keys: one for each task and kind of work.
  @discardableResult
  package func add(_ key: Key, _ item: Item) -> Bool {
    let isNew = state.withLock { state in
      guard !state.running.contains(key), state.waitingKeys.insert(key).inserted else { return false }
      state.waiting.append((key, item))
      return true
    }
    if isNew { ring.yield() }
    return isNew
  }

  /// Works until the task is cancelled.
  package func run(_ work: @escaping @Sendable (Item) async -> Void) async {
    await withDiscardingTaskGroup { group in
      for await _ in bell {
        while let (key, item) = take() {
          group.addTask {
            await work(item)
            self.state.withLock { _ = $0.running.remove(key) }
            self.ring.yield()
          }
        }
      }
      group.cancelAll()
    }
  }

  private func take() -> (key: Key, item: Item)? {
    state.withLock { state in
      guard state.running.count < width, !state.waiting.isEmpty else { return nil }
      let next = state.waiting.removeFirst()
      state.waitingKeys.remove(next.key)
      state.running.insert(next.key)
      return next
    }
  }
}
