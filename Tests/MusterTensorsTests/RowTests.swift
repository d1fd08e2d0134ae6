import MusterTensors
import Testing

@Suite("Loops over rows")
struct RowTests {
  /// Rows of made-up floats at odd addresses, longer than what the loops take at a time.
  fileprivate struct Rows {
    let values: [[Float]]
    let weights: [Double]
    let base: [Double]

    init(_ n: Int, _ count: Int) {
      values = (0..<n).map { i in
        let factor = Float(i + 1) * 1.1e-3
        return (0..<count).map { k in
          let whole = (k * (2 * i + 3) + 17 * i) % 2039
          return Float(whole - 1019) * factor
        }
      }
      weights = (0..<n).map { 1 / Double($0 + 3) }
      base = (0..<count).map { Double($0 % 613) * 0.37 }
    }

    func withBlock<R>(_ body: (RowBlock) -> R) -> R {
      let (n, count) = (values.count, values[0].count)
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: n * count * 4 + 1, alignment: 64)
      defer { memory.deallocate() }
      var pointers: [UnsafeRawPointer?] = []
      for (index, row) in values.enumerated() {
        let start = 1 + index * count * 4
        row.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + count * 4]).copyMemory(from: $0) }
        pointers.append(memory.baseAddress.map { UnsafeRawPointer($0) + start })
      }
      return pointers.withUnsafeBufferPointer { body(RowBlock(.float, rows: $0, count: count)) }
    }

    func column(_ k: Int) -> [Double] { values.map { Double($0[k]) } }
  }

  @Test("Weighted sums are those of one row after the other, bit for bit", arguments: [1, 2, 7, 8, 9, 19])
  func weighted(n: Int) {
    let rows = Rows(n, 2500)
    for areDifferences in [false, true] {
      var sum = [Double](repeating: 1, count: 2500)
      let isFinite = rows.withBlock { $0.weightedSum(rows.weights, areDifferences: areDifferences, base: rows.base, into: &sum) }
      #expect(isFinite)
      for k in 0..<2500 {
        var expected = 0.0
        for (value, weight) in zip(rows.column(k), rows.weights) { expected += weight * (areDifferences ? value : value - rows.base[k]) }
        #expect(sum[k] == expected, "element \(k) of \(n) rows")
      }
    }
  }

  @Test("A sum that is not finite, and a difference that leaves the range of floats, are told")
  func outside() {
    var sum = [Double](repeating: 0, count: 1)
    for (value, base, areDifferences, isFinite) in [
      (Float.nan, 0.0, false, false), (-.infinity, 0, false, false), (3e38, 3e38, false, true), (3e38, 3e38, true, false),
    ] {
      let ok = withUnsafeBytes(of: value) { raw in
        [raw.baseAddress].withUnsafeBufferPointer { pointers in
          RowBlock(.float, rows: pointers, count: 1).weightedSum([0.5], areDifferences: areDifferences, base: [base], into: &sum)
        }
      }
      #expect(ok == isFinite, "\(value)")
    }
  }

  @Test("Trimmed means and the means of the middle are those of each column, sorted", arguments: [1, 2, 5, 8, 13])
  func sorted(n: Int) {
    let rows = Rows(n, 333)
    // Every place against every later one: it sorts, if slowly.
    let network = (0..<n).flatMap { a in (a + 1..<max(a + 1, n)).flatMap { [UInt32(a), UInt32($0)] } }
    let scratch = UnsafeMutableRawPointer.allocate(byteCount: RowBlock.scratchBytes(rows: n), alignment: 64)
    defer { scratch.deallocate() }
    var (trimmed, middle) = ([Double](repeating: 0, count: 333), [Double](repeating: 0, count: 333))
    let (drop, keep) = ((n - 1) / 3, (n + 1) / 2)
    rows.withBlock { block in
      block.trimmedMean(dropping: drop, sortedBy: network, scratch: scratch, into: &trimmed)
      block.middleMean(keeping: keep, sortedBy: network, scratch: scratch, into: &middle)
    }
    for k in 0..<333 {
      let column = rows.column(k).sorted()
      #expect(trimmed[k] == column[drop..<n - drop].reduce(0, +) / Double(n - 2 * drop))
      let median = (column[(n - 1) / 2] + column[n / 2]) / 2
      let far = column.map { ($0 - median).magnitude }
      let near = column.indices.sorted { (far[$0], $0) < (far[$1], $1) }
      let expected = near.prefix(keep).sorted().reduce(0) { $0 + column[$1] } / Double(keep)
      #expect(middle[k] == expected, "column \(k) of \(n) rows")
    }
  }

  @Test("Distances of floats agree with those in double, also where squares leave the range of floats")
  func distances() {
    for scale in [Float(1e-30), 1, 1e30] {
      let rows = Rows(7, 1000)
      let scaled = rows.values.map { row in row.map { $0 * scale } }
      var sums = [Double](repeating: 0, count: 49)
      let copy = Rows(scaled, rows)
      copy.withBlock { block in sums.withUnsafeMutableBufferPointer { block.addSquaredDistances(to: $0) } }
      for i in 0..<7 {
        for j in i + 1..<7 {
          var expected = 0.0
          for (x, y) in zip(scaled[i], scaled[j]) {
            let difference = Double(x) - Double(y)
            expected += difference * difference
          }
          #expect(abs(sums[i * 7 + j] - expected) <= 1e-6 * expected, "\(i), \(j) times \(scale)")
        }
      }
    }
  }
}

extension RowTests.Rows {
  fileprivate init(_ values: [[Float]], _ other: RowTests.Rows) {
    (self.values, weights, base) = (values, other.weights, other.base)
  }
}
