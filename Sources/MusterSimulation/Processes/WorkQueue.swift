/// Long work beside a machine, as `MusterRuntime` has it: each piece once at a time, and so many at once.
final class WorkQueue<Key: Hashable, Item> {
  private var running: [Key: Item] = [:]
  private var waiting: [(key: Key, item: Item)] = []
  private let width: Int
  private let start: (Item, @escaping () -> Void) -> Void

  /// - Parameter start: does a piece, and says when it is done.
  init(width: Int, start: @escaping (Item, @escaping () -> Void) -> Void) {
    self.width = width
    self.start = start
  }

  var count: Int { running.count + waiting.count }

  /// Whether such a piece waits or runs.
  func holds(_ isMeant: (Item) -> Bool) -> Bool { running.values.contains(where: isMeant) || waiting.contains { isMeant($0.item) } }

  func add(_ key: Key, _ item: Item, again: Bool = false) {
    if let index = waiting.firstIndex(where: { $0.key == key }) {
      waiting[index].item = item
    } else if again || running[key] == nil {
      waiting.append((key, item))
    }
    work()
  }

  func removeAll() {
    running = [:]
    waiting = []
  }

  private func work() {
    while running.count < width, let index = waiting.firstIndex(where: { running[$0.key] == nil }) {
      let (key, item) = waiting.remove(at: index)
      running[key] = item
      start(item) { [self] in
        running[key] = nil
        work()
      }
    }
  }
}
