import MusterTensors
import Testing

@Suite("Loops over rows")
struct RowTests {
  /// Rows of computed floats at odd addresses, longer than one step of the loops.
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

  @Test("Rows of 16 bits give the sums and steps of the floats that they become, bit for bit", arguments: [RowBlock.Element.half, .brain])
  func narrow(element: RowBlock.Element) throws {
    try #require(element.isSummed, "this processor widens halves in a pass of their own")
    for n in [1, 3, 16, 17, 35] {
      let rows = Rows(n, 2501)
      let dtype = element == .half ? DType.f16 : .bf16
      let narrow = rows.values.map { row in
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: row.count * 2, alignment: 16)
        row.withUnsafeBufferPointer { Conversion.store($0, as: dtype, into: bytes) }
        return bytes
      }
      defer { for row in narrow { row.deallocate() } }
      let wide = narrow.map { row in
        [Float](unsafeUninitializedCapacity: 2501) { buffer, count in
          Conversion.load(UnsafeRawBufferPointer(row), dtype, into: buffer)
          count = 2501
        }
      }
      let widened = Rows(wide, rows)
      let base = rows.base.map { Float($0) }
      for areDifferences in [false, true] {
        var (sum, expected) = ([Double](repeating: 0, count: 2501), [Double](repeating: 0, count: 2501))
        var (step, expectedStep) = ([Float](repeating: 0, count: 2501), [Float](repeating: 0, count: 2501))
        let isFinite = narrow.map { UnsafeRawPointer($0.baseAddress) }.withUnsafeBufferPointer { pointers in
          let block = RowBlock(element, rows: pointers, count: 2501)
          return block.weightedSum(rows.weights, areDifferences: areDifferences, base: rows.base, into: &sum)
            && base.withUnsafeBytes { from in
              step.withUnsafeMutableBytes { block.weightedStep(rows.weights, areDifferences: areDifferences, base: from, into: $0) }
            }
        }
        let isExpected = widened.withBlock { block in
          block.weightedSum(rows.weights, areDifferences: areDifferences, base: rows.base, into: &expected)
            && base.withUnsafeBytes { from in
              expectedStep.withUnsafeMutableBytes { block.weightedStep(rows.weights, areDifferences: areDifferences, base: from, into: $0) }
            }
        }
        #expect(isFinite && isExpected)
        #expect(sum == expected, "\(n) rows")
        #expect(step == expectedStep, "\(n) rows")
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
    // Compares every place with every later one: slow, but it sorts.
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
