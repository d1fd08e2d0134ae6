internal import MusterTensors

/// One pass over base and updates, slice by slice, that writes the next model unless it meets what must not be in it.
struct Fold {
  /// What was read, and who cannot count: not empty means that nothing was written.
  let slice: CohortSlice
  /// The tensor whose base or next parameters are not all finite: not nil means that nothing was written.
  private(set) var notFinite: String?

  private let cohort: Cohort
  private let combiner: any SliceCombiner
  private let optimizer: any ServerOptimizer

  init(_ cohort: Cohort, _ combiner: any SliceCombiner, _ optimizer: any ServerOptimizer) {
    self.cohort = cohort
    self.combiner = combiner
    self.optimizer = optimizer
    slice = CohortSlice(cohort)
  }

  mutating func write(to path: String, metadata: [String: String], durable: Bool) throws(SafetensorsError) {
    let capacity = CohortSlice.capacity
    let parameters = UnsafeMutableBufferPointer<Double>.allocate(capacity: capacity)
    let difference = UnsafeMutableBufferPointer<Double>.allocate(capacity: capacity)
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity * MemoryLayout<Double>.size, alignment: 64)
    defer {
      parameters.deallocate()
      difference.deallocate()
      bytes.deallocate()
    }
    let positions = Dictionary(cohort.tensors.enumerated().map { ($1.name, $0) }) { first, _ in first }
    let writer = try SafetensorsWriter(path: path, tensors: cohort.base.schema.tensors, metadata: metadata)
    for tensor in writer.header.tensors {
      guard let position = positions[tensor.name] else {
        try cohort.base.withBytes(of: tensor.name) { (raw) throws(SafetensorsError) in try writer.write(raw) }
        continue
      }
      try slice.forEach(inTensor: position) { (slice) throws(SafetensorsError) in
        guard !Conversion.hasNonFinite(UnsafeRawBufferPointer(slice.base), .f64) else {
          notFinite = notFinite ?? tensor.name
          return
        }
        let d = UnsafeMutableBufferPointer(rebasing: difference[0..<slice.count])
        d.update(repeating: 0)
        combiner.combine(slice, into: d)
        guard slice.rejected.isEmpty else { return }
        let w = UnsafeMutableBufferPointer(rebasing: parameters[0..<slice.count])
        _ = w.update(from: slice.base)
        optimizer.step(w, by: UnsafeBufferPointer(d), slice: slice)
        let result = UnsafeMutableRawBufferPointer(rebasing: bytes[0..<slice.count * tensor.dtype.byteSize])
        Conversion.store(UnsafeBufferPointer(w), as: tensor.dtype, into: result)
        if Conversion.hasNonFinite(UnsafeRawBufferPointer(result), tensor.dtype) { notFinite = notFinite ?? tensor.name }
        try writer.write(UnsafeRawBufferPointer(result))
      }
    }
    if slice.rejected.isEmpty && notFinite == nil { try writer.finish(durable: durable) }
  }
}
