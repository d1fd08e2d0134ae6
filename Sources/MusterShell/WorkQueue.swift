/// Long work beside a machine: each piece has a key, runs at most once at a time, and at most `width` pieces run at once.
///
/// A value: the driver takes pieces, runs them, and reports how each ended. A piece that has to be retried gives its place to others until
/// its pause is over. The queue holds at most two pieces per key; its user must bound the number of keys.
package struct WorkQueue<Key: Hashable, Item> {
  /// How the run of a piece ended.
  package enum End {
    case finished
    /// It is to be run again in this form, after a pause in seconds.
    case again(Item, after: Double)
  }

  private var running: [Key: Item] = [:]
  private var pausing: [Key: Item] = [:]
  private var waiting: [(key: Key, item: Item)] = []
  private let width: Int

  package init(width: Int) { self.width = width }

  /// Pieces that wait, pause or run.
  package var count: Int { running.count + pausing.count + waiting.count }

  /// Whether a piece that waits, pauses or runs satisfies the condition.
  package func contains(where condition: (Item) -> Bool) -> Bool {
    running.values.contains(where: condition) || pausing.values.contains(where: condition) || waiting.contains { condition($0.item) }
  }

  /// Adds a piece. It replaces a waiting piece with the same key.
  ///
  /// - Parameter again: whether this piece follows a running piece with its key, and replaces a pausing one. Otherwise it is dropped if a
  ///   piece with its key runs or pauses.
  package mutating func add(_ key: Key, _ item: Item, again: Bool = false) {
    if let index = waiting.firstIndex(where: { $0.key == key }) {
      waiting[index].item = item
    } else if again || (running[key] == nil && pausing[key] == nil) {
      pausing[key] = nil
      waiting.append((key, item))
    }
  }

  /// The next piece to run; `nil` if `width` pieces run already or none can start. It counts as running until ``ended(_:_:)``.
  package mutating func take() -> (key: Key, item: Item)? {
    guard running.count < width, let index = waiting.firstIndex(where: { running[$0.key] == nil }) else { return nil }
    let next = waiting.remove(at: index)
    running[next.key] = next.item
    return next
  }

  /// Reports that a piece no longer runs.
  ///
  /// - Returns: seconds until ``resume(_:)`` is to be called; `nil` if it is not to be called.
  package mutating func ended(_ key: Key, _ end: End) -> Double? {
    running[key] = nil
    guard case .again(let item, let pause) = end, !waiting.contains(where: { $0.key == key }) else { return nil }
    pausing[key] = item
    return pause
  }

  /// Ends the pause of a piece. Does nothing if the piece was replaced meanwhile.
  package mutating func resume(_ key: Key) {
    if let item = pausing.removeValue(forKey: key) { waiting.append((key, item)) }
  }
}

extension WorkQueue: Sendable where Key: Sendable, Item: Sendable {}
extension WorkQueue.End: Sendable where Item: Sendable {}
