internal import CKernels

extension TensorEncoding {
  /// Writes a model in this encoding: all tensors, of which integers are unchanged and buffers become F32.
  ///
  /// The model's declaration of buffers is copied.
  ///
  /// - Throws: `SafetensorsError.encoding` for a number that is not finite or exceeds the encoding's range, or another `SafetensorsError`.
  public func encode(
    model: SafetensorsFile, to path: String, metadata: [String: String] = [:], durable: Bool = false
  ) throws(SafetensorsError) {
    let numbers = Numbers(result: EncodedFile(plain: model), base: nil, residual: nil)
    let buffers = try model.buffers()
    let metadata = metadata.merging(buffers.metadata) { own, _ in own }
    try EncodedWriter(self, numbers, integers: true, buffers, to: path, metadata: metadata).write(durable: durable, residual: nil)
  }

  /// Writes the difference of an update's floating-point tensors from its base in this encoding. Differences of buffers are written in
  /// full, as F32, and have no residual.
  ///
  /// - Parameters:
  ///   - update: resulting parameters, or differences if `base` is `nil`.
  ///   - base: the base model, which is subtracted.
  ///   - buffers: the base model's buffers; `nil` takes them from the metadata of `base`, or of `update` without a base.
  ///   - path: path of the encoded file.
  ///   - residual: the differences that earlier updates left out, which are added before encoding. A tensor that is missing, not F32 or of
  ///     another shape counts as zeros.
  ///   - newResidual: path for the differences that this update leaves out; only for top-k.
  /// - Throws: `SafetensorsError.encoding` for a number that is not finite or exceeds the encoding's range, and for a tensor that the base
  ///   does not have in this shape; otherwise another `SafetensorsError`.
  public func encode(
    update: SafetensorsFile, since base: SafetensorsFile?, buffers: ModelBuffers? = nil, to path: String, metadata: [String: String] = [:],
    residual: SafetensorsFile? = nil, newResidual: String? = nil, durable: Bool = false
  ) throws(SafetensorsError) {
    let buffers = if let buffers { buffers } else { try (base ?? update).buffers() }
    let numbers = Numbers(
      result: EncodedFile(plain: update), base: base.map(EncodedFile.init(plain:)), residual: residual.map(EncodedFile.init(plain:)))
    try EncodedWriter(self, numbers, integers: false, buffers, to: path, metadata: metadata)
      .write(durable: durable, residual: newResidual)
  }

  /// Number of elements of a tensor that top-k keeps: ⌈fraction · count⌉, at least one.
  static func kept(of count: Int, fraction: Double) -> Int {
    count == 0 ? 0 : min(count, max(1, Int((fraction * Double(count) - 1e-9).rounded(.up))))
  }

  /// The scale of a channel: magnitude / 127.
  ///
  /// A subnormal scale is rounded up, so that the largest value still fits. A scale is rounded down if 127 · scale would overflow.
  static func scale(magnitude: Float) -> Float {
    var scale = Float(Double(magnitude) / 127)
    if scale < .leastNormalMagnitude, Double(scale) * 127 < Double(magnitude) { scale = scale.nextUp }
    return (scale * 127).isFinite ? scale : scale.nextDown
  }
}

/// The numbers to encode: result − base + residual, rounded to `Float` after each operation.
private struct Numbers {
  let result: EncodedFile
  let base: EncodedFile?
  let residual: EncodedFile?

  /// Loads numbers of a tensor.
  ///
  /// - Parameter isWhole: `true` for a buffer, which has no residual.
  func load(
    _ tensor: EncodedTensor, _ elements: Range<Int>, isWhole: Bool, into out: UnsafeMutableBufferPointer<Float>
  ) throws(SafetensorsError) {
    result.load(tensor, elements, into: out)
    if let base {
      guard let own = base.tensor(named: tensor.name), own.dtype.isFloatingPoint, own.shape == tensor.shape else {
        throw .encoding("tensor \(shown(tensor.name)) is not in the base, or has another shape or dtype there")
      }
      combine(base, own, elements, into: out) { $0 - $1 }
    }
    if let residual, !isWhole, let own = residual.tensor(named: tensor.name), own.dtype == .f32, own.shape == tensor.shape {
      combine(residual, own, elements, into: out) { $0 + $1 }
    }
    guard muster_magnitude_f32(out.baseAddress, out.count) < Float.infinity.bitPattern else {
      throw .encoding("\(shown(tensor.name)) holds an infinity or a NaN, or its difference from the base does")
    }
  }

  @inline(__always)
  private func combine(
    _ other: EncodedFile, _ tensor: EncodedTensor, _ elements: Range<Int>, into out: UnsafeMutableBufferPointer<Float>,
    _ operation: (Float, Float) -> Float
  ) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: min(4096, elements.count)) { block in
      var start = 0
      while start < elements.count {
        let part = UnsafeMutableBufferPointer(rebasing: block[0..<min(block.count, elements.count - start)])
        other.load(tensor, elements.lowerBound + start..<elements.lowerBound + start + part.count, into: part)
        for i in 0..<part.count { out[start + i] = operation(out[start + i], part[i]) }
        start += part.count
      }
    }
  }
}

private struct EncodedWriter {
  let encoding: TensorEncoding
  let numbers: Numbers
  let tensors: [EncodedTensor]
  let buffers: ModelBuffers
  let writer: SafetensorsWriter

  init(
    _ encoding: TensorEncoding, _ numbers: Numbers, integers: Bool, _ buffers: ModelBuffers, to path: String, metadata: [String: String]
  ) throws(SafetensorsError) {
    self.encoding = encoding
    self.numbers = numbers
    self.buffers = buffers
    tensors = numbers.result.tensors.filter { integers || $0.dtype.isFloatingPoint }
    var metadata = metadata
    metadata[TensorEncoding.metadataKey] = encoding.name
    writer = try SafetensorsWriter(path: path, tensors: tensors.flatMap { Self.parts(of: $0, encoding, buffers) }, metadata: metadata)
  }

  /// Whether a tensor is a buffer, which is written in full, as F32.
  private func isWhole(_ tensor: EncodedTensor) -> Bool { buffers.contains(tensor.name) }

  private static func parts(of tensor: EncodedTensor, _ encoding: TensorEncoding, _ buffers: ModelBuffers) -> [TensorDescription] {
    let isWhole = buffers.contains(tensor.name)
    let plain = tensor.dtype.isFloatingPoint ? DType.f32 : tensor.dtype
    func part(_ part: TensorPart, _ dtype: DType, _ shape: [Int]) -> TensorDescription {
      TensorDescription(name: part.name(tensor.name), dtype: dtype, shape: shape)
    }
    switch encoding {
    case .float16, .bfloat16:
      let dtype = isWhole || !tensor.dtype.isFloatingPoint ? plain : encoding == .float16 ? .f16 : .bf16
      return [TensorDescription(name: tensor.name, dtype: dtype, shape: tensor.shape)]
    case .int8:
      guard tensor.dtype.isFloatingPoint, !isWhole else { return [part(.value, plain, tensor.shape)] }
      return [part(.value, .i8, tensor.shape), part(.scale, .f32, tensor.shape.count < 2 ? [] : [tensor.shape[0]])]
    case .topK(let fraction):
      guard tensor.dtype.isFloatingPoint, !isWhole else { return [part(.value, plain, tensor.shape)] }
      let kept = TensorEncoding.kept(of: tensor.elementCount, fraction: fraction)
      return [part(.index, .i32, [kept]), part(.value, .f32, [kept])]
    }
  }

  func write(durable: Bool, residual path: String?) throws(SafetensorsError) {
    let floats = tensors.filter { $0.dtype.isFloatingPoint && !isWhole($0) }
    let rest: SafetensorsWriter? = try path.map { (path) throws(SafetensorsError) in
      try SafetensorsWriter(path: path, tensors: floats.map { TensorDescription(name: $0.name, dtype: .f32, shape: $0.shape) })
    }
    for tensor in tensors {
      guard tensor.dtype.isFloatingPoint else {
        try keep(tensor)
        continue
      }
      guard !isWhole(tensor) else {
        try whole(tensor)
        continue
      }
      switch encoding {
      case .float16: try halves(tensor, .f16)
      case .bfloat16: try halves(tensor, .bf16)
      case .int8: try scaled(tensor)
      case .topK(let fraction): try sparse(tensor, fraction, rest: rest)
      }
    }
    // Only top-k keeps a residual. Asking for one with another encoding is a mistake of the caller.
    if let rest, encoding.encodesModels { throw .wrongDataLength(tensor: nil, expected: rest.header.dataByteCount, found: 0) }
    try rest?.finish(durable: durable)
    writer.filled()
    try writer.finish(durable: durable)
  }

  private func put(_ bytes: UnsafeRawBufferPointer, _ name: String, at element: Int = 0) throws(SafetensorsError) {
    let info = try writer.header.tensor(named: name)
    try writer.places.write(bytes, at: info.byteRange.lowerBound + element * info.dtype.byteSize)
  }

  private func keep(_ tensor: EncodedTensor) throws(SafetensorsError) {
    guard case .plain(let info) = tensor.storage else { return }
    let name = Self.parts(of: tensor, encoding, buffers)[0].name
    try numbers.result.file.withBytes(of: info, elements: 0..<info.elementCount) { (raw) throws(SafetensorsError) in try put(raw, name) }
  }

  /// Passes the tensor's numbers to `body` in blocks of about 64 Ki elements, each a whole number of runs of `run` elements.
  private func forEachBlock(
    of tensor: EncodedTensor, run: Int, _ body: (Int, UnsafeMutableBufferPointer<Float>) throws(SafetensorsError) -> Void
  ) throws(SafetensorsError) {
    let count = tensor.elementCount
    guard count > 0 else { return }
    let block = UnsafeMutableBufferPointer<Float>.allocate(capacity: min(count, run * max(1, (1 << 16) / run)))
    defer { block.deallocate() }
    var start = 0
    while start < count {
      let part = UnsafeMutableBufferPointer(rebasing: block[0..<min(block.count, count - start)])
      try numbers.load(tensor, start..<start + part.count, isWhole: isWhole(tensor), into: part)
      try body(start, part)
      start += part.count
    }
  }

  private func whole(_ tensor: EncodedTensor) throws(SafetensorsError) {
    let name = Self.parts(of: tensor, encoding, buffers)[0].name
    try forEachBlock(of: tensor, run: 1) { (start, block) throws(SafetensorsError) in
      try put(UnsafeRawBufferPointer(block), name, at: start)
    }
  }

  private func halves(_ tensor: EncodedTensor, _ dtype: DType) throws(SafetensorsError) {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 << 16, alignment: 64)
    defer { bytes.deallocate() }
    try forEachBlock(of: tensor, run: 1) { (start, block) throws(SafetensorsError) in
      let raw = UnsafeMutableRawBufferPointer(rebasing: bytes[0..<2 * block.count])
      Conversion.store(UnsafeBufferPointer(block), as: dtype, into: raw)
      guard !Conversion.hasNonFinite(UnsafeRawBufferPointer(raw), dtype) else {
        throw .encoding("\(shown(tensor.name)) exceeds the range of \(encoding.name): use int8 or float32")
      }
      try put(UnsafeRawBufferPointer(raw), tensor.name, at: start)
    }
  }

  private func scaled(_ tensor: EncodedTensor) throws(SafetensorsError) {
    let count = tensor.elementCount
    let channels = tensor.shape.count < 2 ? 1 : tensor.shape[0]
    var scales = [Float](repeating: 0, count: channels)
    if count > 0 {
      let channel = count / channels
      let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: max(channel, 1 << 16), alignment: 64)
      defer { bytes.deallocate() }
      try forEachBlock(of: tensor, run: channel) { (start, block) throws(SafetensorsError) in
        guard let source = block.baseAddress, let target = bytes.baseAddress else { return }
        for offset in stride(from: 0, to: block.count, by: channel) {
          let scale = TensorEncoding.scale(magnitude: Float(bitPattern: muster_magnitude_f32(source + offset, channel)))
          scales[(start + offset) / channel] = scale
          muster_int8_from_float(source + offset, scale == 0 ? 0 : 1 / Double(scale), target + offset, channel)
        }
        try put(UnsafeRawBufferPointer(rebasing: bytes[0..<block.count]), TensorPart.value.name(tensor.name), at: start)
      }
    }
    let name = TensorPart.scale.name(tensor.name)
    try scales.withMutableBytes { (raw) throws(SafetensorsError) in try put(raw, name) }
  }

  private func sparse(_ tensor: EncodedTensor, _ fraction: Double, rest: SafetensorsWriter?) throws(SafetensorsError) {
    guard tensor.elementCount <= Int(Int32.max) else {
      throw .encoding("\(shown(tensor.name)) has \(tensor.elementCount) elements, but topk supports at most \(Int32.max)")
    }
    let kept = TensorEncoding.kept(of: tensor.elementCount, fraction: fraction)
    // Needs the whole tensor at once, to find the largest elements.
    try forEachBlock(of: tensor, run: max(1, tensor.elementCount)) { (_, block) throws(SafetensorsError) in
      var (positions, values) = Self.largest(kept, of: block)
      try positions.withMutableBytes { (raw) throws(SafetensorsError) in try put(raw, TensorPart.index.name(tensor.name)) }
      try values.withMutableBytes { (raw) throws(SafetensorsError) in try put(raw, TensorPart.value.name(tensor.name)) }
      for position in positions { block[Int(position)] = 0 }
      try rest?.write(UnsafeRawBufferPointer(block))
    }
  }

  /// The `kept` largest magnitudes in the order of their positions; of equal ones, the first.
  private static func largest(_ kept: Int, of block: UnsafeMutableBufferPointer<Float>) -> (positions: [Int32], values: [Float]) {
    func magnitude(_ i: Int) -> UInt32 { block[i].bitPattern & 0x7fff_ffff }
    /// One step of a radix selection: the 16-bit key at which `wanted` elements are reached, counted from the largest key down, and how
    /// many elements with that key are wanted.
    func step(_ wanted: Int, _ key: (UInt32) -> Int?) -> (at: UInt32, wanted: Int) {
      var counts = [Int](repeating: 0, count: 1 << 16)
      for i in 0..<block.count { if let place = key(magnitude(i)) { counts[place] += 1 } }
      var (place, wanted) = (counts.count - 1, wanted)
      while place > 0, counts[place] < wanted {
        wanted -= counts[place]
        place -= 1
      }
      return (UInt32(place), wanted)
    }
    let high = step(kept) { Int($0 >> 16) }
    let low = step(high.wanted) { $0 >> 16 == high.at ? Int($0 & 0xffff) : nil }
    let threshold = high.at << 16 | low.at
    var ties = low.wanted
    var positions: [Int32] = []
    var values: [Float] = []
    positions.reserveCapacity(kept)
    values.reserveCapacity(kept)
    for i in 0..<block.count {
      let own = magnitude(i)
      guard own > threshold || (own == threshold && ties > 0) else { continue }
      if own == threshold { ties -= 1 }
      positions.append(Int32(i))
      values.append(block[i])
    }
    return (positions, values)
  }
}

extension Array {
  /// `withUnsafeBytes` with a typed error.
  fileprivate mutating func withMutableBytes<Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    try withUnsafeMutableBufferPointer { (buffer) throws(Failure) in try body(UnsafeRawBufferPointer(buffer)) }
  }
}
