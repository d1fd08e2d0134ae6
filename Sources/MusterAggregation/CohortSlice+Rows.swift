internal import MusterTensors

// Rules that look at all updates of an element at once.
extension CohortSlice {
  /// The slice of all updates, row by row.
  struct Block {
    let block: RowBlock
    /// Whether the rows are differences D_i; otherwise parameters w_i.
    let areDifferences: Bool
  }

  /// The updates' rows: their parameters where they lie when all are plain, else differences in double. Valid until the next slice.
  ///
  /// - Parameter differences: whether only differences in double will do.
  /// - Returns: nil when an update cannot count; then the pass has no result anyway.
  func rows(differences: Bool = false) -> Block? {
    guard rejected.isEmpty else { return nil }
    if floatContent == .parameters, !differences, updates.indices.allSatisfy({ scale(of: $0) == 1 }) {
      let block = floatRows()
      for index in updates.indices {
        let row = UnsafeRawBufferPointer(start: pointers[index], count: count * 4)
        if Rows.hasNonFiniteFloats(row) { rejected[index] = Cohort.nonFiniteReason(tensor) }
      }
      guard rejected.isEmpty else { return nil }
      return Block(block: block, areDifferences: false)
    }
    let matrix = matrix ?? .allocate(capacity: updates.count * length)
    self.matrix = matrix
    for index in updates.indices {
      let row = UnsafeMutableBufferPointer(rebasing: matrix[index * length..<index * length + count])
      difference(of: index, into: row)
      pointers[index] = UnsafeRawPointer(row.baseAddress)
    }
    guard rejected.isEmpty else { return nil }
    return Block(block: RowBlock(.double, rows: UnsafeBufferPointer(pointers), count: count), areDifferences: true)
  }

  /// The updates' numbers as floats: where they lie, or decoded. They are not checked, and not scaled. Valid until the next slice.
  ///
  /// - Parameter element: of 16 bits: all updates hold that, and it is what the rows are.
  private func floatRows(as element: RowBlock.Element = .float) -> RowBlock {
    for index in updates.indices {
      let info = updates[index].tensors[position]
      let raw = plainBytes(of: index)
      bytesRead += raw.count
      pointers[index] = info.dtype == .f32 || element != .float ? raw.baseAddress : decode(raw, info.dtype, row: index)
    }
    return RowBlock(element, rows: UnsafeBufferPointer(pointers), count: count)
  }

  /// What weighted sums read the updates' numbers as.
  func commonSummedElement() -> RowBlock.Element {
    guard let dtype = updates.first?.tensors[position].dtype, updates.allSatisfy({ $0.tensors[position].dtype == dtype }) else {
      return .float
    }
    switch dtype {
    case .f16: return RowBlock.Element.half.isSummed ? .half : .float
    case .bf16: return .brain
    default: return .float
    }
  }

  /// Whatever an update travels in becomes floats here, a slice at a time: they stay in the cache until they are added up.
  private func decode(_ raw: UnsafeRawBufferPointer, _ dtype: DType, row index: Int) -> UnsafeRawPointer? {
    let all = decoded ?? .allocate(capacity: updates.count * length)
    decoded = all
    let row = UnsafeMutableBufferPointer(rebasing: all[index * length..<index * length + count])
    Conversion.load(raw, dtype, into: row)
    return UnsafeRawPointer(row.baseAddress)
  }

  /// Σ share_i D_i for updates of floats, or of what becomes floats exactly, all in one go.
  ///
  /// - Returns: false when they are not, or when something is not finite: then nothing is said, and each is to be looked at by itself.
  func weightedSum(_ shares: [Double], into sum: UnsafeMutableBufferPointer<Double>) -> Bool {
    guard let (block, weights, areDifferences, read) = weighted(shares) else { return false }
    guard let base = baseBuffer.baseAddress, let out = sum.baseAddress else { return false }
    if block.weightedSum(weights, areDifferences: areDifferences, base: base, into: out) { return true }
    bytesRead = read
    return false
  }

  /// The same, and the base moved by it, as floats.
  func weightedStep(_ shares: [Double], into out: UnsafeMutableRawBufferPointer) -> Bool {
    let info = cohort.tensors[position]
    if scaledChannel != nil { return scaledStep(shares, into: out) }
    guard info.dtype == .f32, let (block, weights, areDifferences, read) = weighted(shares) else { return false }
    let isDone = cohort.base.withBytes(of: info, elements: elements) { base in
      block.weightedStep(weights, areDifferences: areDifferences, base: base, into: out)
    }
    if !isDone { bytesRead = read }
    return isDone
  }

  private func weighted(_ shares: [Double]) -> (RowBlock, UnsafePointer<Double>, areDifferences: Bool, read: Int)? {
    guard rejected.isEmpty, let content = floatContent, let own = weights.baseAddress else { return nil }
    for index in updates.indices { weights[index] = shares[index] * scale(of: index) }
    let read = bytesRead
    return (floatRows(as: summedElement), UnsafePointer(own), content == .delta, read)
  }

  /// Space for the rules on sorted columns.
  func columnScratch() -> UnsafeMutableRawPointer {
    let space = columns ?? .allocate(byteCount: RowBlock.scratchBytes(rows: updates.count), alignment: 64)
    columns = space
    return space
  }

  /// Rejects the updates whose numbers are not all finite.
  func verify() { for index in updates.indices { verify(index) } }

  /// Rejects the update if its numbers are not all finite.
  private func verify(_ index: Int) {
    guard rejected[index] == nil else { return }
    let info = updates[index].tensors[position]
    switch info.storage {
    case .plain:
      let raw = plainBytes(of: index)
      bytesRead += raw.count
      if Conversion.hasNonFinite(raw, info.dtype) { rejected[index] = Cohort.nonFiniteReason(tensor) }
    // Scales were looked at when the file was opened.
    case .scaled: break
    case .sparse:
      let seen = updates[index].file.forEachValue(of: info, in: elements) { _, _ in }
      bytesRead += seen.bytesRead
      if !seen.isFinite { rejected[index] = Cohort.nonFiniteReason(tensor) }
    }
  }

  /// ‖D_i‖² over this slice.
  func squaredNorm(of index: Int) -> Double {
    guard rejected[index] == nil else { return 0 }
    guard isPlain(index) else {
      let row = rowScratch()
      difference(of: index, into: row)
      return rejected[index] == nil ? Rows.squares(UnsafeBufferPointer(rebasing: row[0..<count])) : 0
    }
    let raw = plainBytes(of: index)
    bytesRead += raw.count
    guard let base = baseBuffer.baseAddress else { return 0 }
    if Rows.hasNonFiniteFloats(raw) {
      rejected[index] = Cohort.nonFiniteReason(tensor)
      return 0
    }
    return Rows.squaredDistance(ofFloats: raw, from: base)
  }

  private func rowScratch() -> UnsafeMutableBufferPointer<Double> {
    let matrix = matrix ?? .allocate(capacity: updates.count * length)
    self.matrix = matrix
    return UnsafeMutableBufferPointer(rebasing: matrix[0..<length])
  }
}
