internal import MusterShell

/// Runs the pieces of a server's ``WorkQueue`` in the simulated world.
final class WorkDriver<Key: Hashable, Item> {
  private var queue: WorkQueue<Key, Item>
  private let width: Int
  private let start: (Item, @escaping () -> Void) -> Void

  /// - Parameter start: begins a piece, and calls the closure when it is finished.
  init(width: Int, start: @escaping (Item, @escaping () -> Void) -> Void) {
    queue = WorkQueue(width: width)
    self.width = width
    self.start = start
  }

  var count: Int { queue.count }
  func contains(where condition: (Item) -> Bool) -> Bool { queue.contains(where: condition) }

  func add(_ key: Key, _ item: Item, again: Bool = false) {
    queue.add(key, item, again: again)
    work()
  }

  /// Its process has died. A piece that still reports has no effect.
  func removeAll() { queue = WorkQueue(width: width) }

  private func work() {
    while let (key, item) = queue.take() {
      start(item) { [self] in
        queue.finished(key)
        work()
      }
    }
  }
}
