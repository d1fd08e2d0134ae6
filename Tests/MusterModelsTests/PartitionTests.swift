import FoundationEssentials
import MusterModels
import Testing

@Suite struct PartitionTests {
  /// 1,000 labels from 0 to 9 in uneven numbers.
  let labels: [Int32] = (0..<1000).map { Int32(($0 * $0 + 3 * $0) % 17 % 10) }

  func parts(_ nodes: Int, _ make: (Int) -> Partition) throws -> [[Int32]] {
    try (0..<nodes).map { try make($0).positions(labels: labels) }
  }

  @Test(
    "The parts are disjoint, together the whole, and the same again",
    arguments: [1, 3, 8, 16])
  func cover(nodes: Int) throws {
    let kinds: [(Int) -> Partition] = [
      { .iid(of: nodes, index: $0, seed: 1) }, { .shards(of: nodes, index: $0, perNode: 2, seed: 1) },
      { .dirichlet(of: nodes, index: $0, alpha: 0.5, seed: 1) }, { .dirichlet(of: nodes, index: $0, alpha: 0.001, seed: 1) },
    ]
    for kind in kinds {
      let all = try parts(nodes, kind)
      #expect(all.flatMap { $0 }.sorted() == (0..<Int32(1000)).map { $0 })
      #expect(all.allSatisfy { !$0.isEmpty })
      #expect(try parts(nodes, kind) == all)
    }
  }

  @Test("IID parts have equal sizes and depend on the seed")
  func iid() throws {
    let all = try parts(3) { .iid(of: 3, index: $0, seed: 1) }
    #expect(Set(all.map(\.count)) == [333, 334])
    #expect(try parts(3) { .iid(of: 3, index: $0, seed: 2) } != all)
  }

  @Test("Shards give each node few labels")
  func shards() throws {
    for part in try parts(10, { .shards(of: 10, index: $0, perNode: 2, seed: 1) }) {
      // A shard may contain two labels.
      #expect(Set(part.map { labels[Int($0)] }).count <= 4)
    }
  }

  @Test("A small alpha is one-sided, a large one even")
  func dirichlet() throws {
    func largestShare(_ alpha: Double) throws -> Double {
      let all = try parts(5) { .dirichlet(of: 5, index: $0, alpha: alpha, seed: 3) }
      let shares = all.map { part in
        let counts = Dictionary(grouping: part) { labels[Int($0)] }.mapValues(\.count)
        return Double(counts.values.max() ?? 0) / Double(part.count)
      }
      return shares.reduce(0, +) / 5
    }
    let (oneSided, even) = (try largestShare(0.05), try largestShare(1000))
    #expect(oneSided > 2 * even)
    let sizes = try parts(5) { .dirichlet(of: 5, index: $0, alpha: 10000, seed: 3) }.map(\.count)
    #expect(sizes.allSatisfy { (180...220).contains($0) })
  }

  /// A file that the Python package's tests also read.
  struct Vectors: Decodable {
    struct Part: Decodable {
      var partition: Partition
      var positions: [Int32]
    }
    var labels: [Int32]
    var parts: [Part]
  }

  @Test("A seed's split stays what it is, in every version and in Python")
  func vectors() throws {
    let file = "\(#filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" })/python/tests/partitions.json"
    let vectors = try JSONDecoder().decode(Vectors.self, from: Data(contentsOf: URL(filePath: file)))
    for part in vectors.parts { #expect(try part.partition.positions(labels: vectors.labels) == part.positions, "\(part.partition)") }
    #expect(vectors.parts.count == 12)
  }

  @Test("What is not there is refused")
  func refusals() {
    let wrong: [Partition] = [
      .range(from: 0, to: 1001), .range(from: 5, to: 5), .range(from: -1, to: 5), .iid(of: 8, index: 8, seed: 1),
      .iid(of: 0, index: 0, seed: 1), .iid(of: 1001, index: 0, seed: 1), .shards(of: 600, index: 0, perNode: 2, seed: 1),
      .shards(of: 8, index: 0, perNode: 0, seed: 1), .dirichlet(of: 8, index: 0, alpha: 0, seed: 1),
      .dirichlet(of: 8, index: -1, alpha: 1, seed: 1),
    ]
    for partition in wrong { #expect(throws: ModelError.self, "\(partition)") { try partition.positions(labels: labels) } }
  }
}
