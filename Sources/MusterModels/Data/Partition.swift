internal import Glibc

/// The part of a data set's samples that one node has.
///
/// Every node computes the same split from the same seed and takes its own part. Except for ranges, the parts are disjoint and together are
/// the whole data set.
package enum Partition: Hashable, Sendable {
  /// The samples from `from` to `to` − 1, in the file's order.
  case range(from: Int, to: Int)
  /// All samples, shuffled and cut into `of` parts of equal size (±1).
  case iid(of: Int, index: Int, seed: UInt64)
  /// Samples sorted by label and cut into `of × perNode` shards. Each node gets `perNode` of them: few labels (McMahan et al. 2017).
  case shards(of: Int, index: Int, perNode: Int, seed: UInt64)
  /// Each label's samples split in proportions from a Dirichlet distribution: the smaller alpha, the more uneven (Hsu et al. 2019). A node
  /// that would get nothing takes one sample of the node with the most.
  case dirichlet(of: Int, index: Int, alpha: Double, seed: UInt64)

  /// Positions of this node's samples.
  package func positions(labels: [Int32]) throws(ModelError) -> [Int32] {
    switch self {
    case .range(let from, let to):
      guard from >= 0, from < to, to <= labels.count else {
        throw .partition("the range \(from) to \(to) is not within the \(labels.count) samples, or is empty")
      }
      return (from..<to).map(Int32.init)
    case .iid(let nodes, let index, let seed):
      try check(nodes, index, labels.count)
      return Partition.cut(Partition.shuffled(labels.count, seed), into: nodes)[index]
    case .shards(let nodes, let index, let perNode, let seed):
      try check(nodes, index, labels.count)
      let (shards, overflow) = nodes.multipliedReportingOverflow(by: perNode)
      guard perNode >= 1, !overflow, shards <= labels.count else {
        throw .partition(
          "\(nodes) nodes with \(perNode) shards each do not fit \(labels.count) samples: each node needs at least 1 shard, and each shard at least 1 sample"
        )
      }
      let byLabel = (0..<Int32(labels.count)).sorted { (labels[Int($0)], $0) < (labels[Int($1)], $1) }
      let cuts = Partition.cut(byLabel, into: shards)
      return Partition.cut(Partition.shuffled(shards, seed), into: nodes)[index].flatMap { cuts[Int($0)] }
    case .dirichlet(let nodes, let index, let alpha, let seed):
      try check(nodes, index, labels.count)
      guard alpha.isFinite, alpha > 0 else { throw .partition("alpha must be more than 0, got \(alpha)") }
      return Partition.dirichlet(labels, nodes, alpha, seed)[index]
    }
  }

  private func check(_ nodes: Int, _ index: Int, _ samples: Int) throws(ModelError) {
    guard nodes >= 1, (0..<nodes).contains(index) else {
      throw .partition("part \(index) of \(nodes) does not exist: `index` runs from 0 to `of` − 1")
    }
    guard nodes <= samples else { throw .partition("\(samples) samples cannot be shared among \(nodes) nodes") }
  }

  private static func shuffled(_ count: Int, _ seed: UInt64) -> [Int32] {
    var generator = SplitMix64(seed: seed)
    var positions = (0..<Int32(count)).map { $0 }
    generator.shuffle(&positions)
    return positions
  }

  private static func cut(_ values: [Int32], into parts: Int) -> [[Int32]] {
    (0..<parts).map { Array(values[$0 * values.count / parts..<($0 + 1) * values.count / parts]) }
  }

  private static func dirichlet(_ labels: [Int32], _ nodes: Int, _ alpha: Double, _ seed: UInt64) -> [[Int32]] {
    var generator = SplitMix64(seed: seed)
    var parts = [[Int32]](repeating: [], count: nodes)
    var classes: [[Int32]] = []
    for (position, label) in labels.enumerated() {
      while classes.count <= label { classes.append([]) }
      classes[Int(label)].append(Int32(position))
    }
    for var members in classes where !members.isEmpty {
      generator.shuffle(&members)
      // Computed in logarithms, because a gamma variate of a small alpha is often below the smallest `Double`.
      let logarithms = (0..<nodes).map { _ in generator.logGamma(alpha) }
      let largest = logarithms.max() ?? 0
      let shares = logarithms.map { exp($0 - largest) }
      let total = shares.reduce(0, +)
      var sum = 0.0
      var start = 0
      for node in 0..<nodes {
        sum += shares[node]
        let end = node == nodes - 1 ? members.count : min(members.count, max(start, Int(sum / total * Double(members.count))))
        parts[node] += members[start..<end]
        start = end
      }
    }
    while let empty = parts.firstIndex(where: \.isEmpty), let largest = parts.indices.max(by: { parts[$0].count < parts[$1].count }) {
      parts[empty].append(parts[largest].removeLast())
    }
    return parts.map { $0.sorted() }
  }
}

extension SplitMix64 {
  /// The logarithm of a Gamma(shape, 1) variate (Marsaglia and Tsang 2000, with their boost for shapes below 1).
  fileprivate mutating func logGamma(_ shape: Double) -> Double {
    if shape < 1 { return logGamma(shape + 1) + log(1 - unit()) / shape }
    let d = shape - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
      let x = (-2 * log(1 - unit())).squareRoot() * cos(2 * Double.pi * unit())
      let v = 1 + c * x
      guard v > 0 else { continue }
      let cube = v * v * v
      if log(1 - unit()) < 0.5 * x * x + d - d * cube + d * log(cube) { return log(d) + log(cube) }
    }
  }
}
