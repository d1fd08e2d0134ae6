/// Long work beside a machine, as `MusterRuntime` has it: each piece once at a time, and so many at once.
final class WorkQueue<Key: Hashable, Item> {
  private var running: Set<Key> = []
  private var waiting: [(key: Key, item: Item)] = []
  private let width: Int
  private let start: (Item, @escaping () -> Void) -> Void

  /// - Parameter start: does a piece, and says when it is done.
  init(width: Int, start: @escaping (Item, @escaping () -> Void) -> Void) {
    self.width = width
    self.start = start
  }

  var count: Int { running.count + waiting.count }

  func add(_ key: Key, _ item: Item, again: Bool = false) {
    if let index = waiting.firstIndex(where: { $0.key == key }) {
      waiting[index].item = item
    } else if again || !running.contains(key) {
      waiting.append((key, item))
    }
    work()
  }

  func removeAll() {
    running = []
    waiting = []
  }

  private func work() {
    while running.count < width, let index = waiting.firstIndex(where: { !running.contains($0.key) }) {
      let (key, item) = waiting.remove(at: index)
      running.insert(key)
      start(item) { [self] in
        running.remove(key)
        work()
      }
    }
  }
}
