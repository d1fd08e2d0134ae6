/// Items with the time at which they are due, earliest first.
struct TimerHeap<Item> {
  private var entries: [(due: ContinuousClock.Instant, item: Item)] = []

  /// The time at which the first item is due.
  var next: ContinuousClock.Instant? { entries.first?.due }

  mutating func add(_ item: Item, due: ContinuousClock.Instant) {
    entries.append((due, item))
    var index = entries.count - 1
    while index > 0, entries[index].due < entries[(index - 1) / 2].due {
      entries.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  /// Removes and returns the first item, if it is due.
  mutating func take(at now: ContinuousClock.Instant) -> Item? {
    guard let first = entries.first, first.due <= now else { return nil }
    entries.swapAt(0, entries.count - 1)
    entries.removeLast()
    var index = 0
    while true {
      let children = [2 * index + 1, 2 * index + 2].filter { $0 < entries.count }
      guard let child = children.min(by: { entries[$0].due < entries[$1].due }), entries[child].due < entries[index].due else { break }
      entries.swapAt(index, child)
      index = child
    }
    return first.item
  }
}
