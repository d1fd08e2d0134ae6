internal import CKernels

extension EncodedFile {
  /// Visits the stored elements of a sparse tensor, in ascending order. Positions count from the start of `elements`.
  ///
  /// - Returns: whether all visited values are finite, and the number of bytes read for them.
  package func forEachValue(
    of tensor: EncodedTensor, in elements: Range<Int>, _ body: (_ position: Int, _ value: Float) -> Void
  ) -> (isFinite: Bool, bytesRead: Int) {
    guard case .sparse(let index, let values) = tensor.storage else { preconditionFailure("\(tensor.name) is not sparse") }
    return file.withBytes(of: index, elements: 0..<index.elementCount) { positions in
      file.withBytes(of: values, elements: 0..<values.elementCount) { numbers in
        func position(_ i: Int) -> Int { Int(positions.loadUnaligned(fromByteOffset: i &* 4, as: Int32.self)) }
        var (low, high) = (0, index.elementCount)
        while low < high {
          let middle = (low + high) / 2
          if position(middle) < elements.lowerBound { low = middle + 1 } else { high = middle }
        }
        let first = low
        var isFinite = true
        while low < index.elementCount, position(low) < elements.upperBound {
          let value = numbers.loadUnaligned(fromByteOffset: low &* 4, as: Float.self)
          isFinite = isFinite && value.isFinite
          body(position(low) - elements.lowerBound, value)
          low += 1
        }
        return (isFinite, (low - first) * 8)
      }
    }
  }

  /// Releases the memory of these elements, which are not needed soon.
  package func release(_ tensor: EncodedTensor, elements: Range<Int>) {
    switch tensor.storage {
    case .plain(let info), .scaled(let info, _, _): if !file.isReadable { file.release(info, elements: elements) }
    case .sparse(let index, let values):
      // The positions are searched from the start again for the next range, so all of them are released.
      file.release(index, elements: 0..<index.elementCount)
      file.release(values, elements: 0..<values.elementCount)
    }
  }

  /// Writes the decoded tensors: floating-point tensors as F32, others unchanged. A declaration of buffers is copied.
  ///
  /// - Throws: `SafetensorsError` if the file cannot be written or a decoded number is not finite.
  public func decode(to path: String, metadata: [String: String] = [:], durable: Bool = false) throws(SafetensorsError) {
    let described = tensors.map { TensorDescription(name: $0.name, dtype: $0.dtype.isFloatingPoint ? .f32 : $0.dtype, shape: $0.shape) }
    let metadata = metadata.merging(try file.buffers().metadata) { own, _ in own }
    let writer = try SafetensorsWriter(path: path, tensors: described, metadata: metadata)
    let block = UnsafeMutableBufferPointer<Float>.allocate(capacity: 1 << 16)
    defer { block.deallocate() }
    for info in writer.header.tensors {
      guard let tensor = tensor(named: info.name) else { throw .noSuchTensor(info.name) }
      guard tensor.dtype.isFloatingPoint else {
        if case .plain(let own) = tensor.storage {
          try file.withBytes(of: own, elements: 0..<own.elementCount) { (raw) throws(SafetensorsError) in try writer.write(raw) }
        }
        continue
      }
      var start = 0
      while start < info.elementCount {
        let elements = start..<min(start + block.count, info.elementCount)
        let part = UnsafeMutableBufferPointer(rebasing: block[0..<elements.count])
        load(tensor, elements, into: part)
        guard !Rows.hasNonFiniteFloats(UnsafeRawBufferPointer(part)) else {
          throw .encoding("\(shown(info.name)) holds an infinity or a NaN, or exceeds the range of float32")
        }
        try writer.write(UnsafeRawBufferPointer(part))
        start = elements.upperBound
      }
    }
    try writer.finish(durable: durable)
  }

  /// Decodes elements into `out`, as `Float`.
  package func load(_ tensor: EncodedTensor, _ elements: Range<Int>, into out: UnsafeMutableBufferPointer<Float>) {
    precondition(out.count == elements.count, "the buffer has room for \(out.count) floats, but \(elements.count) are to be loaded")
    guard let target = out.baseAddress else { return }
    switch tensor.storage {
    case .plain(let info): file.withBytes(of: info, elements: elements) { Conversion.load($0, info.dtype, into: out) }
    case .scaled(let info, let scales, let channel):
      file.withBytes(of: info, elements: elements) { raw in
        var start = 0
        while start < raw.count {
          let place = (elements.lowerBound + start) / channel
          let end = min(raw.count, (place + 1) * channel - elements.lowerBound)
          muster_float_from_int8(raw.baseAddress.map { $0 + start }, scales[place], target + start, end - start)
          start = end
        }
      }
    case .sparse:
      out.update(repeating: 0)
      _ = forEachValue(of: tensor, in: elements) { out[$0] = $1 }
    }
  }
}
