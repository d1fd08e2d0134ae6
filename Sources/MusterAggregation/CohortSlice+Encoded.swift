internal import MusterTensors

// Differences that come as I8 or sparse go straight into the sum.
extension CohortSlice {
  /// How many elements share a scale, where all updates hold differences as I8.
  func commonScaledChannel() -> Int? {
    guard let first = updates.first, case .scaled(_, _, let channel) = first.tensors[position].storage else { return nil }
    let fits = updates.allSatisfy { update in
      // The same shape, so the same channels.
      if case .scaled = update.tensors[position].storage { update.content == .delta } else { false }
    }
    return fits ? channel : nil
  }

  /// Adds Σ share_i D_i for updates as I8, all in one go and in their order.
  ///
  /// - Returns: false when they are not, or when one could lead out of the base's range: then nothing was added, and each is to be looked
  ///   at by itself.
  func addScaled(_ shares: [Double], to sum: UnsafeMutableBufferPointer<Double>) -> Bool {
    withScaledRows(shares) { rows in
      let reach = EncodedRows.magnitude(base)
      let limit = cohort.tensors[position].dtype.greatestFiniteMagnitude
      guard let target = sum.baseAddress, reach + rows.largestMagnitude <= limit else { return false }
      rows.add(to: target)
      return true
    }
  }

  /// The same, and the base moved by it, as floats.
  func scaledStep(_ shares: [Double], into out: UnsafeMutableRawBufferPointer) -> Bool {
    let info = cohort.tensors[position]
    guard info.dtype == .f32 else { return false }
    return withScaledRows(shares) { rows in
      cohort.base.withBytes(of: info, elements: elements) { base in rows.step(from: base, into: out) }
    }
  }

  private func withScaledRows(_ shares: [Double], _ body: (EncodedRows) -> Bool) -> Bool {
    guard let channel = scaledChannel, rejected.isEmpty else { return false }
    let read = bytesRead
    var scales: [[Float]] = []
    scales.reserveCapacity(updates.count)
    for (index, update) in updates.enumerated() {
      guard case .scaled(let info, let own, _) = update.tensors[position].storage else { return false }
      let raw = bytes(of: index, info)
      bytesRead += raw.count
      pointers[index] = raw.baseAddress
      scales.append(own)
      weights[index] = shares[index] * scale(of: index)
    }
    let rows = EncodedRows(
      rows: UnsafeBufferPointer(pointers), scales: scales, channel: channel, first: elements.lowerBound, count: count,
      factors: UnsafeBufferPointer(weights))
    if body(rows) { return true }
    bytesRead = read
    return false
  }

  /// Adds a sparse difference. An update that cannot count is rejected: then the sum is of no use.
  func addSparse(_ index: Int, times factor: Double, to sum: UnsafeMutableBufferPointer<Double>) {
    let limit = cohort.tensors[position].dtype.greatestFiniteMagnitude
    var isOutside = false
    let seen = updates[index].file.forEachValue(of: updates[index].tensors[position], in: elements) { place, value in
      let value = Double(value)
      isOutside = isOutside || !((baseBuffer[place] + value).magnitude <= limit)
      sum[place] += factor * value
    }
    bytesRead += seen.bytesRead
    if !seen.isFinite {
      rejected[index] = Cohort.nonFiniteReason(tensor)
    } else if isOutside {
      rejectRange(index)
    }
  }
}
