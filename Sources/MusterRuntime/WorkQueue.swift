import Synchronization

/// Long work beside the machine: each piece once at a time, however often it is asked for, and a bounded number at once.
package final class WorkQueue<Key: Hashable & Sendable, Item: Sendable>: Sendable {
  private struct State {
    var running: Set<Key> = []
    var waiting: [(key: Key, item: Item)] = []
  }

  private let state = Mutex(State())
  private let bell: AsyncStream<Void>
  private let ring: AsyncStream<Void>.Continuation
  private let width: Int

  package init(width: Int) {
    self.width = width
    (bell, ring) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// A piece that waits already takes the newer content. The queue is bounded by its keys.
  ///
  /// - Parameter again: whether a piece that runs already is done once more afterwards, with this content; else it is dropped.
  package func add(_ key: Key, _ item: Item, again: Bool = false) {
    state.withLock { state in
      if let index = state.waiting.firstIndex(where: { $0.key == key }) {
        state.waiting[index].item = item
      } else if again || !state.running.contains(key) {
        state.waiting.append((key, item))
      }
    }
    ring.yield()
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
      guard state.running.count < width, let index = state.waiting.firstIndex(where: { !state.running.contains($0.key) }) else {
        return nil
      }
      let next = state.waiting.remove(at: index)
      state.running.insert(next.key)
      return next
    }
  }
}
