internal import MusterTensors

// For rules that need the values of all updates of an element together.
extension CohortSlice {
  /// The slice's values of all updates, one row per update.
  struct Block {
    let block: RowBlock
    /// Whether the rows are differences D_i; otherwise they are parameters w_i.
    let areDifferences: Bool
  }

  /// The rows of all updates: their parameters as floats if they are unscaled and not encoded, otherwise differences in `Double`.
  /// Valid until the next slice.
  ///
  /// - Parameter differences: `true` always gives differences in `Double`.
  /// - Returns: `nil` if an update was rejected; then the pass has no result anyway.
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

  /// The updates' numbers as rows of `element`, in place or decoded to `Float`; neither scaled nor checked. Valid until the next slice.
  ///
  /// - Parameter element: `float`, or the 16-bit type that all updates hold, whose rows are then used as they are.
  private func floatRows(as element: RowBlock.Element = .float) -> RowBlock {
    for index in updates.indices {
      let info = updates[index].tensors[position]
      let raw = plainBytes(of: index)
      bytesRead += raw.count
      pointers[index] = info.dtype == .f32 || element != .float ? raw.baseAddress : decode(raw, info.dtype, row: index)
    }
    return RowBlock(element, rows: UnsafeBufferPointer(pointers), count: count)
  }

  /// The element type in which weighted sums read the updates: their common 16-bit type if this processor adds it, or `float`.
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

  /// Converts one update's slice to `Float`. A slice is short enough to stay in the cache until it is added up.
  private func decode(_ raw: UnsafeRawBufferPointer, _ dtype: DType, row index: Int) -> UnsafeRawPointer? {
    let all = decoded ?? .allocate(capacity: updates.count * length)
    decoded = all
    let row = UnsafeMutableBufferPointer(rebasing: all[index * length..<index * length + count])
    Conversion.load(raw, dtype, into: row)
    return UnsafeRawPointer(row.baseAddress)
  }

  /// Writes Σ share_i D_i in one pass, for updates of floats or of numbers that convert to `Float` exactly.
  ///
  /// - Returns: `false` if the updates are of another kind or something is not finite. The caller then adds them one by one.
  func weightedSum(_ shares: [Double], into sum: UnsafeMutableBufferPointer<Double>) -> Bool {
    guard let (block, weights, areDifferences, read) = weighted(shares) else { return false }
    guard let base = baseBuffer.baseAddress, let out = sum.baseAddress else { return false }
    if block.weightedSum(weights, areDifferences: areDifferences, base: base, into: out) { return true }
    bytesRead = read
    return false
  }

  /// Like `weightedSum`, but writes base + Σ share_i D_i to `out` as `Float`. Needs a base of F32.
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

  /// Scratch space for the rules on sorted columns.
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
    // Scales were checked when the file was opened.
    case .scaled: break
    case .sparse:
      let seen = updates[index].file.forEachValue(of: info, in: elements) { _, _ in }
      bytesRead += seen.bytesRead
      if !seen.isFinite { rejected[index] = Cohort.nonFiniteReason(tensor) }
    }
  }

  /// ‖D_i‖² over this slice; 0 for a rejected update.
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
