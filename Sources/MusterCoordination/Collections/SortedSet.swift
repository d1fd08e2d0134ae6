/// A set that keeps its elements in ascending order, and whose copies share their common parts.
///
/// The elements are kept in chunks of bounded size. Changing a set that is shared copies one chunk and the list of chunks, so that keeping
/// a machine for an undo costs little. Finding an element takes two binary searches.
struct SortedSet<Element: Comparable> {
  /// No chunk is empty.
  private var chunks: [[Element]] = []
  private(set) var count = 0

  /// Maximum number of elements in a chunk. A chunk that grows beyond it is halved.
  private static var capacity: Int { 256 }

  var isEmpty: Bool { count == 0 }
  var first: Element? { chunks.first?.first }

  func contains(_ element: Element) -> Bool {
    let chunk = chunk(of: element)
    guard chunk < chunks.count else { return false }
    let index = Self.index(of: element, in: chunks[chunk])
    return chunks[chunk][index] == element
  }

  /// - Returns: false if the element was in the set already.
  @discardableResult
  mutating func insert(_ element: Element) -> Bool {
    var chunk = chunk(of: element)
    if chunk == chunks.count {
      // Larger than all elements: it goes into the last chunk.
      if chunks.isEmpty { chunks.append([]) }
      chunk = chunks.count - 1
    }
    let index = Self.index(of: element, in: chunks[chunk])
    if index < chunks[chunk].count, chunks[chunk][index] == element { return false }
    chunks[chunk].insert(element, at: index)
    count += 1
    if chunks[chunk].count > Self.capacity {
      let upper = Array(chunks[chunk][(Self.capacity / 2)...])
      chunks[chunk].removeSubrange((Self.capacity / 2)...)
      chunks.insert(upper, at: chunk + 1)
    }
    return true
  }

  /// - Returns: false if the element was not in the set.
  @discardableResult
  mutating func remove(_ element: Element) -> Bool {
    let chunk = chunk(of: element)
    guard chunk < chunks.count else { return false }
    let index = Self.index(of: element, in: chunks[chunk])
    guard chunks[chunk][index] == element else { return false }
    chunks[chunk].remove(at: index)
    count -= 1
    if chunks[chunk].isEmpty { chunks.remove(at: chunk) }
    return true
  }

  /// The index of the first chunk whose last element is not smaller; the number of chunks if all elements are smaller.
  private func chunk(of element: Element) -> Int {
    var (low, high) = (0, chunks.count)
    while low < high {
      let middle = (low + high) / 2
      if chunks[middle][chunks[middle].count - 1] < element { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The index of the first element that is not smaller.
  private static func index(of element: Element, in chunk: [Element]) -> Int {
    var (low, high) = (0, chunk.count)
    while low < high {
      let middle = (low + high) / 2
      if chunk[middle] < element { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

extension SortedSet: Sequence {
  func makeIterator() -> FlattenSequence<[[Element]]>.Iterator { chunks.joined().makeIterator() }
}

extension SortedSet: Sendable where Element: Sendable {}
