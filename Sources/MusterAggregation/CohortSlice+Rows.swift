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
    if allPlain && !differences {
      for index in updates.indices {
        let update = updates[index]
        update.file.withBytes(of: update.tensors[position], elements: elements) { raw in
          // The mapping lives as long as the update, longer than this slice.
          pointers[index] = raw.baseAddress
          bytesRead += raw.count
          if Rows.hasNonFiniteFloats(raw) { rejected[index] = Cohort.nonFiniteReason(tensor) }
        }
      }
      guard rejected.isEmpty else { return nil }
      return Block(block: RowBlock(.float, rows: UnsafeBufferPointer(pointers), count: count), areDifferences: false)
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

  /// Space for the rules on sorted columns.
  func columnScratch() -> UnsafeMutableRawPointer {
    let space = columns ?? .allocate(byteCount: RowBlock.scratchBytes(rows: updates.count), alignment: 64)
    columns = space
    return space
  }

  /// Rejects the update if its numbers are not all finite.
  func verify(_ index: Int) {
    guard rejected[index] == nil else { return }
    let update = updates[index]
    let info = update.tensors[position]
    update.file.withBytes(of: info, elements: elements) { raw in
      bytesRead += raw.count
      if Conversion.hasNonFinite(raw, info.dtype) { rejected[index] = Cohort.nonFiniteReason(tensor) }
    }
  }

  /// ‖D_i‖² over this slice.
  func squaredNorm(of index: Int) -> Double {
    guard rejected[index] == nil else { return 0 }
    let update = updates[index]
    guard isPlain(index) else {
      let row = rowScratch()
      difference(of: index, into: row)
      return rejected[index] == nil ? Rows.squares(UnsafeBufferPointer(rebasing: row[0..<count])) : 0
    }
    return update.file.withBytes(of: update.tensors[position], elements: elements) { raw in
      bytesRead += raw.count
      guard let base = baseBuffer.baseAddress else { return 0 }
      if Rows.hasNonFiniteFloats(raw) {
        rejected[index] = Cohort.nonFiniteReason(tensor)
        return 0
      }
      return Rows.squaredDistance(ofFloats: raw, from: base)
    }
  }

  private func rowScratch() -> UnsafeMutableBufferPointer<Double> {
    let matrix = matrix ?? .allocate(capacity: updates.count * length)
    self.matrix = matrix
    return UnsafeMutableBufferPointer(rebasing: matrix[0..<length])
  }
}
