import MusterGround
internal import MusterTensors
internal import Synchronization

/// One pass over the base and the updates, slice by slice. Writes the next model unless an update is rejected or a number is not finite.
struct Fold: Sendable {
  let cohort: Cohort
  let combiner: any SliceCombiner
  let optimizer: any ServerOptimizer
  let state: OptimizerState

  /// The findings of a pass. If an update was rejected, no model was written.
  struct Outcome: Sendable {
    /// Reasons, by index, for updates that cannot be used. Not empty means that nothing was written.
    var rejected: [Int: String] = [:]
    var bytesRead = 0
    /// Time spent writing, summed over all threads.
    var writing = Duration.zero
    /// The first tensor, by position, that would not be finite in the new model.
    fileprivate var notFinite: (position: Int, name: String)?
    fileprivate var error: SafetensorsError?
    fileprivate var stateError: SafetensorsError?
  }

  func write(
    to path: String, metadata: [String: String], durable: Bool, stateOut: String?
  ) throws(AggregationError) -> Outcome {
    let writer: SafetensorsWriter
    do throws(SafetensorsError) {
      writer = try SafetensorsWriter(path: path, tensors: cohort.base.schema.tensors, metadata: metadata)
      try keep(in: writer)
    } catch { throw .output(path: path, error) }
    let stateWriter = try stateOut.flatMap { (path) throws(AggregationError) in try state.writer(to: path, for: cohort) }
    let outcome = fold(writer, stateWriter)
    guard outcome.rejected.isEmpty else { return outcome }
    if let (_, tensor) = outcome.notFinite { throw .notFinite(tensor: tensor) }
    do throws(SafetensorsError) {
      if let error = outcome.stateError { throw error }
      if let stateWriter {
        stateWriter.file.filled()
        try stateWriter.file.finish(durable: durable)
      }
    } catch { throw .state(path: stateOut ?? "", "cannot be written: \(error)", passing: error.isPassing) }
    do throws(SafetensorsError) {
      if let error = outcome.error { throw error }
      writer.filled()
      try writer.finish(durable: durable)
    } catch { throw .output(path: path, error) }
    return outcome
  }

  /// Copies the base's tensors that are not folded.
  private func keep(in writer: SafetensorsWriter) throws(SafetensorsError) {
    let folded = Set(cohort.tensors.map(\.name))
    let places = writer.places
    for tensor in writer.header.tensors where !folded.contains(tensor.name) {
      try cohort.base.withBytes(of: tensor.name) { (raw) throws(SafetensorsError) in
        try places.write(raw, at: tensor.byteRange.lowerBound)
      }
    }
  }

  private func fold(_ writer: SafetensorsWriter, _ stateWriter: OptimizerState.Writer?) -> Outcome {
    let targets = Dictionary(writer.header.tensors.map { ($0.name, $0.byteRange.lowerBound) }) { first, _ in first }
    let offsets = cohort.tensors.map { targets[$0.name] ?? 0 }
    let (places, statePlaces) = (writer.places, stateWriter?.places)
    let pieces = cohort.pieces()
    let whole = Mutex(Outcome())
    Workers.run(jobs: pieces.count, threads: cohort.threads) { next in
      let desk = Desk(self, offsets: offsets, places: places, statePlaces: statePlaces)
      while let job = next() {
        desk.fold(pieces[job])
        cohort.release(pieces[job])
      }
      whole.withLock { outcome in
        outcome.rejected.merge(desk.slice.rejected) { first, _ in first }
        outcome.writing += desk.outcome.writing
        outcome.bytesRead += desk.slice.bytesRead + desk.stateBytesRead
        outcome.error = outcome.error ?? desk.outcome.error
        outcome.stateError = outcome.stateError ?? desk.outcome.stateError
        if let own = desk.outcome.notFinite, own.position < outcome.notFinite?.position ?? .max { outcome.notFinite = own }
      }
    }
    return whole.withLock { $0 }
  }

  /// The buffers and the outcome of one thread.
  private final class Desk {
    let slice: CohortSlice
    private(set) var outcome = Outcome()
    private(set) var stateBytesRead = 0
    private let fold: Fold
    private let offsets: [Int]
    private let places: SafetensorsPlaces
    private let statePlaces: OptimizerState.Places?
    private let length: Int
    private let numbers: UnsafeMutableBufferPointer<Double>
    private var bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 0, alignment: 64)

    init(_ fold: Fold, offsets: [Int], places: SafetensorsPlaces, statePlaces: OptimizerState.Places?) {
      self.fold = fold
      self.offsets = offsets
      self.places = places
      self.statePlaces = statePlaces
      let count = fold.cohort.updates.count
      let isDecoded = fold.cohort.updates.contains { $0.tensors.contains { $0.dtype != .f32 } }
      length =
        if fold.cohort.isLarge {
          CohortSlice.readLength(updates: count)
        } else {
          isDecoded ? CohortSlice.decodedLength(updates: count) : CohortSlice.length(updates: count)
        }
      slice = CohortSlice(fold.cohort, length: length)
      numbers = .allocate(capacity: length * (2 + max(3, fold.state.parts.count)))
    }

    deinit {
      numbers.deallocate()
      bytes.deallocate()
    }

    private func numbers(_ index: Int) -> UnsafeMutableBufferPointer<Double> {
      UnsafeMutableBufferPointer(rebasing: numbers[index * length..<index * length + slice.count])
    }

    func fold(_ piece: Piece) {
      let tensor = fold.cohort.tensors[piece.tensor]
      let needed = piece.elements.count * tensor.dtype.byteSize
      if bytes.count < needed {
        bytes.deallocate()
        bytes = .allocate(byteCount: needed, alignment: 64)
      }
      let isBuffer = fold.cohort.buffers.contains(tensor.name)
      // The plain mean of floats goes from the files to the result in one loop, without intermediate buffers.
      let plain = fold.optimizer is Replace && !isBuffer ? fold.combiner as? WeightedSum : nil
      slice.forEach(in: piece, loadingBase: plain == nil) { slice in
        let start = (slice.elements.lowerBound - piece.elements.lowerBound) * tensor.dtype.byteSize
        let result = UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + slice.count * tensor.dtype.byteSize])
        if let plain {
          if slice.weightedStep(plain.shares, into: result) { return }
          slice.loadBase()
        }
        guard !Conversion.hasNonFinite(UnsafeRawBufferPointer(slice.base), .f64) else { return notFinite(piece, tensor.name) }
        let (w, d) = (numbers(0), numbers(1))
        d.update(repeating: 0)
        if isBuffer {
          fold.combiner.combineBuffer(slice, into: d)
          slice.replace(by: d, low: numbers(2), high: numbers(3), row: numbers(4), into: w)
          guard slice.rejected.isEmpty else { return }
          Conversion.store(UnsafeBufferPointer(w), as: tensor.dtype, into: result)
          if Conversion.hasNonFinite(UnsafeRawBufferPointer(result), tensor.dtype) { notFinite(piece, tensor.name) }
          return
        }
        fold.combiner.combine(slice, into: d)
        guard slice.rejected.isEmpty else { return }
        _ = w.update(from: slice.base)
        let memory = fold.state.parts.indices.map { numbers(2 + $0) }
        for (part, buffer) in memory.enumerated() { stateBytesRead += fold.state.load(part, tensor.name, slice.elements, into: buffer) }
        fold.optimizer.step(w, by: UnsafeBufferPointer(d), memory: memory, slice: slice)
        Conversion.store(UnsafeBufferPointer(w), as: tensor.dtype, into: result)
        if Conversion.hasNonFinite(UnsafeRawBufferPointer(result), tensor.dtype) { notFinite(piece, tensor.name) }
        for (part, buffer) in memory.enumerated() {
          let raw = UnsafeRawBufferPointer(buffer)
          if Conversion.hasNonFinite(raw, .f64) { notFinite(piece, tensor.name) }
          guard let statePlaces, outcome.stateError == nil else { continue }
          do throws(SafetensorsError) { try statePlaces.write(raw, part, piece.tensor, slice.elements) } catch {
            outcome.stateError = error
          }
        }
      }
      guard slice.rejected.isEmpty, outcome.notFinite == nil, outcome.error == nil else { return }
      let start = ContinuousClock.now
      do throws(SafetensorsError) {
        try places.write(
          UnsafeRawBufferPointer(rebasing: bytes[0..<needed]), at: offsets[piece.tensor] + piece.elements.lowerBound * tensor.dtype.byteSize
        )
      } catch { outcome.error = error }
      outcome.writing += ContinuousClock.now - start
    }

    private func notFinite(_ piece: Piece, _ name: String) {
      if piece.tensor < outcome.notFinite?.position ?? .max { outcome.notFinite = (piece.tensor, name) }
    }
  }
}
