internal import MusterShell

/// Runs the pieces of a server's ``WorkQueue`` in the simulated world.
final class WorkDriver<Key: Hashable, Item> {
  typealias End = WorkQueue<Key, Item>.End

  private var queue: WorkQueue<Key, Item>
  private let width: Int
  private let start: (Item, @escaping (End) -> Void) -> Void
  private let after: (_ milliseconds: Int64, @escaping () -> Void) -> Void

  /// - Parameters:
  ///   - after: calls the closure later, unless the process dies meanwhile.
  ///   - start: begins a piece, and calls the closure when it has ended.
  init(
    width: Int, after: @escaping (Int64, @escaping () -> Void) -> Void = { _, _ in },
    start: @escaping (Item, @escaping (End) -> Void) -> Void
  ) {
    queue = WorkQueue(width: width)
    self.width = width
    self.after = after
    self.start = start
  }

  var count: Int { queue.count }
  func contains(where condition: (Item) -> Bool) -> Bool { queue.contains(where: condition) }

  func add(_ key: Key, _ item: Item, again: Bool = false) {
    queue.add(key, item, again: again)
    work()
  }

  /// For a process that has died. A piece that still reports has no effect.
  func removeAll() { queue = WorkQueue(width: width) }

  private func work() {
    while let (key, item) = queue.take() {
      start(item) { [self] end in
        let pause = queue.ended(key, end)
        work()
        guard let pause else { return }
        after(Int64(pause * 1000)) { [self] in
          queue.resume(key)
          work()
        }
      }
    }
  }
}
