internal import MusterTensors

// Differences in I8 or sparse form are added to the sum without being decoded first.
extension CohortSlice {
  /// Number of elements that share a scale, if all updates hold this tensor as I8 differences; otherwise `nil`.
  func commonScaledChannel() -> Int? {
    guard let first = updates.first, case .scaled(_, _, let channel) = first.tensors[position].storage else { return nil }
    let fits = updates.allSatisfy { update in
      // All updates have the same shape, so they have the same channels.
      if case .scaled = update.tensors[position].storage { update.content == .delta } else { false }
    }
    return fits ? channel : nil
  }

  /// Adds Σ share_i D_i for I8 updates in one pass, in the order of the updates.
  ///
  /// - Returns: `false`, with nothing added, if not all updates are I8 or one could leave the range of the base's dtype. The caller then
  ///   adds them one by one.
  func addScaled(_ shares: [Double], to sum: UnsafeMutableBufferPointer<Double>) -> Bool {
    withScaledRows(shares) { rows in
      let reach = EncodedRows.magnitude(base)
      let limit = cohort.tensors[position].dtype.greatestFiniteMagnitude
      guard let target = sum.baseAddress, reach + rows.largestMagnitude <= limit else { return false }
      rows.add(to: target)
      return true
    }
  }

  /// Like `addScaled`, but writes base + Σ share_i D_i to `out` as `Float`. Needs a base of F32.
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

  /// Adds a sparse difference. An update with an unusable number is rejected, which makes the whole sum void.
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
