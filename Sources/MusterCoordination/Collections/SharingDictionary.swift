import HashTreeCollections

/// A dictionary whose copies share what they have in common: keeping the machine as it was, for an undo or for a reader, costs nothing, and the
/// next change copies a few tree nodes, however many entries there are. Its order has no meaning.
///
/// A compressed hash-array mapped prefix tree (Steindorfer and Vinju, 2015), of swift-collections.
package struct SharingDictionary<Key: Hashable, Value> {
  private var tree: TreeDictionary<Key, Value>

  init() { tree = [:] }

  init(uniqueKeysWithValues entries: some Sequence<(Key, Value)>) { tree = TreeDictionary(uniqueKeysWithValues: entries) }

  package var count: Int { tree.count }
  package var isEmpty: Bool { tree.isEmpty }
  package var keys: some Collection<Key> { tree.keys }
  package var values: some Collection<Value> { tree.values }

  package subscript(key: Key) -> Value? {
    get { tree[key] }
    _modify { yield &tree[key] }
  }

  subscript(key: Key, default value: @autoclosure () -> Value) -> Value {
    get { tree[key] ?? value() }
    _modify {
      var entry = tree[key] ?? value()
      defer { tree[key] = entry }
      yield &entry
    }
  }

  @discardableResult
  mutating func removeValue(forKey key: Key) -> Value? { tree.removeValue(forKey: key) }

  func filter(_ isIncluded: (Element) throws -> Bool) rethrows -> SharingDictionary {
    var kept = self
    kept.tree = try tree.filter { try isIncluded(($0.key, $0.value)) }
    return kept
  }
}

extension SharingDictionary: Sequence {
  package typealias Element = (key: Key, value: Value)

  package struct Iterator: IteratorProtocol {
    fileprivate var entries: TreeDictionary<Key, Value>.Iterator
    package mutating func next() -> Element? { entries.next() }
  }

  package func makeIterator() -> Iterator { Iterator(entries: tree.makeIterator()) }
}

extension SharingDictionary: ExpressibleByDictionaryLiteral {
  package init(dictionaryLiteral elements: (Key, Value)...) { self.init(uniqueKeysWithValues: elements) }
}

extension SharingDictionary: Equatable where Value: Equatable {}
extension SharingDictionary: Hashable where Value: Hashable {}
extension SharingDictionary: Sendable where Key: Sendable, Value: Sendable {}
