/// Long work beside a machine: each piece has a key, runs at most once at a time, and at most `width` pieces run at once.
///
/// A value: the driver takes pieces, runs them, and reports each as finished. The queue is bounded by the number of its keys.
package struct WorkQueue<Key: Hashable, Item> {
  private var running: [Key: Item] = [:]
  private var waiting: [(key: Key, item: Item)] = []
  private let width: Int

  package init(width: Int) { self.width = width }

  /// Pieces that wait or run.
  package var count: Int { running.count + waiting.count }

  /// Whether a piece that waits or runs satisfies the condition.
  package func contains(where condition: (Item) -> Bool) -> Bool {
    running.values.contains(where: condition) || waiting.contains { condition($0.item) }
  }

  /// Adds a piece. A piece with this key that waits already is replaced.
  ///
  /// - Parameter again: whether a piece with this key that runs now is followed by this one; otherwise this one is dropped.
  package mutating func add(_ key: Key, _ item: Item, again: Bool = false) {
    if let index = waiting.firstIndex(where: { $0.key == key }) {
      waiting[index].item = item
    } else if again || running[key] == nil {
      waiting.append((key, item))
    }
  }

  /// The next piece to run, nil while as many run as may, or nothing waits. It counts as running until ``finished(_:)``.
  package mutating func take() -> (key: Key, item: Item)? {
    guard running.count < width, let index = waiting.firstIndex(where: { running[$0.key] == nil }) else { return nil }
    let next = waiting.remove(at: index)
    running[next.key] = next.item
    return next
  }

  package mutating func finished(_ key: Key) { running[key] = nil }
}

extension WorkQueue: Sendable where Key: Sendable, Item: Sendable {}
