import HashTreeCollections

/// A dictionary whose copies share their common entries. Keeping an earlier state of the machine, for an undo or for a reader, copies no
/// entry, and the next change copies a few tree nodes, however many entries there are. Its order has no meaning.
///
/// A compressed hash-array mapped prefix tree (Steindorfer and Vinju, 2015), from swift-collections.
package struct SharingDictionary<Key: Hashable, Value> {
  private var tree: TreeDictionary<Key, Value>

  package var count: Int { tree.count }
  package var isEmpty: Bool { tree.isEmpty }
  package var keys: some Collection<Key> { tree.keys }
  package var values: some Collection<Value> { tree.values }

  package subscript(key: Key) -> Value? {
    get { tree[key] }
    _modify { yield &tree[key] }
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
  package init(dictionaryLiteral elements: (Key, Value)...) { tree = TreeDictionary(uniqueKeysWithValues: elements) }
}

extension SharingDictionary: Sendable where Key: Sendable, Value: Sendable {}
