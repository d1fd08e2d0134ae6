/// A first-in, first-out queue from which the newest element under a key can be removed in constant time.
struct KeyedQueue<Element> {
  typealias Entry = (sequence: UInt64, key: String?, element: Element)

  private var entries: [UInt64: (key: String?, element: Element)] = [:]
  /// Sequence numbers in order, from `head` on. Those without an entry were removed.
  private var order: [UInt64] = []
  private var head = 0
  private var newest: [String: UInt64] = [:]
  private(set) var lastSequence: UInt64 = 0

  var isEmpty: Bool { entries.isEmpty }
  var count: Int { entries.count }
  /// The sequence number of the first element. `head` never points at a removed element.
  var firstSequence: UInt64? { head < order.count ? order[head] : nil }

  mutating func append(_ element: Element, key: String?) {
    lastSequence += 1
    entries[lastSequence] = (key, element)
    order.append(lastSequence)
    if let key { newest[key] = lastSequence }
  }

  mutating func popFirst() -> Entry? {
    guard let sequence = firstSequence else { return nil }
    return remove(sequence)
  }

  mutating func removeNewest(key: String) -> Entry? {
    guard let sequence = newest[key] else { return nil }
    return remove(sequence)
  }

  func contains(key: String) -> Bool { newest[key] != nil }

  /// Removes the oldest element that the predicate accepts.
  mutating func removeFirst(where predicate: (Element) -> Bool) -> Entry? {
    let match = order[head...].first { sequence in
      guard let entry = entries[sequence] else { return false }
      return predicate(entry.element)
    }
    return match.flatMap { remove($0) }
  }

  /// Puts popped elements back, before all elements that are queued now. Their sequence numbers must ascend.
  mutating func restore(_ returned: [Entry]) {
    guard !returned.isEmpty else { return }
    for entry in returned {
      entries[entry.sequence] = (entry.key, entry.element)
      if let key = entry.key, newest[key] == nil || newest[key].map({ $0 < entry.sequence }) == true { newest[key] = entry.sequence }
    }
    order = returned.map(\.sequence) + order[head...]
    head = 0
  }

  private mutating func remove(_ sequence: UInt64) -> Entry? {
    guard let (key, element) = entries.removeValue(forKey: sequence) else { return nil }
    if let key, newest[key] == sequence { newest[key] = nil }
    while head < order.count, entries[order[head]] == nil { head += 1 }
    compact()
    return (sequence, key, element)
  }

  private mutating func compact() {
    if entries.isEmpty {
      // Release the memory that a burst needed.
      let keepsCapacity = order.capacity <= 256
      order.removeAll(keepingCapacity: keepsCapacity)
      head = 0
      if !keepsCapacity {
        entries = [:]
        newest = [:]
      }
    } else if order.count > 2 * entries.count + 64 {
      order = order[head...].filter { entries[$0] != nil }
      head = 0
    }
  }
}
