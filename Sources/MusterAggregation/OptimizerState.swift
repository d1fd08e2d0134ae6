import MusterGround
internal import MusterSchema
internal import MusterTensors

/// The state that a server optimizer keeps between rounds, in a safetensors file: for each part of its memory (such as m and v) and each
/// tensor folded so far, one F64 tensor of the same shape, named `part/tensor`.
struct OptimizerState: Sendable {
  /// The version of the file format, stored as `muster.state` in its metadata.
  static let version = "1"

  let parts: [String]
  private let file: SafetensorsFile?

  /// - Parameters:
  ///   - parts: the names in the optimizer's `memory`.
  ///   - path: path of the previous state; `nil` starts from zeros, as does a tensor that the file does not hold.
  ///   - base: the base model, whose tensors the state must fit.
  init(_ parts: [String], from path: String?, base: SafetensorsFile) throws(AggregationError) {
    self.parts = parts
    guard let path, !parts.isEmpty else {
      file = nil
      return
    }
    let file: SafetensorsFile
    do { file = try SafetensorsFile(path: path) } catch { throw .state(path: path, "cannot be read: \(error)", passing: error.isPassing) }
    guard file.metadata["muster.state"] == Self.version else {
      throw .state(
        path: path,
        "is not an optimizer's state of version \(Self.version): its muster.state is \(file.metadata["muster.state"] ?? "missing")")
    }
    let schema = base.schema
    for tensor in file.tensors {
      guard let slash = tensor.name.firstIndex(of: "/"), parts.contains(String(tensor.name[..<slash])) else {
        throw .state(
          path: path, "belongs to another optimizer: it holds \(shown(tensor.name)), but this one keeps \(parts.joined(separator: ", "))")
      }
      let name = String(tensor.name[tensor.name.index(after: slash)...])
      guard tensor.dtype == .f64, tensor.shape == schema[name]?.shape else {
        throw .state(path: path, "belongs to another model: \(shown(tensor.name)) does not fit the base")
      }
      for part in parts where !file.header.contains("\(part)/\(name)") {
        throw .state(path: path, "belongs to another optimizer: it does not hold \(shown("\(part)/\(name)"))")
      }
    }
    if let bad = file.nonFiniteTensor() { throw .state(path: path, "holds an infinity or a NaN in \(shown(bad))") }
    self.file = file
  }

  /// Fills `buffer` with some elements of one part's tensor.
  ///
  /// - Returns: the number of bytes read.
  func load(_ part: Int, _ tensor: String, _ elements: Range<Int>, into buffer: UnsafeMutableBufferPointer<Double>) -> Int {
    // Zeros without a file, or for a tensor it does not hold. `init` has checked that a tensor in the file has all of its parts.
    guard let file, let info = try? file.header.tensor(named: "\(parts[part])/\(tensor)") else {
      buffer.update(repeating: 0)
      return 0
    }
    file.withBytes(of: info, elements: elements) { Conversion.load($0, .f64, into: buffer) }
    file.release(info, elements: elements)
    return elements.count * 8
  }

  /// The file of the next state, while it is written.
  struct Writer {
    let file: SafetensorsWriter
    let places: Places
  }

  struct Places: Sendable {
    let places: SafetensorsPlaces
    /// Byte offsets in the data section, by part and by the tensor's position in the cohort.
    let offsets: [[Int]]

    func write(_ bytes: UnsafeRawBufferPointer, _ part: Int, _ tensor: Int, _ elements: Range<Int>) throws(SafetensorsError) {
      try places.write(bytes, at: offsets[part][tensor] + elements.lowerBound * 8)
    }
  }

  /// Begins the file of the next state, and copies into it the state of parameters that are not folded this time. Buffers have no state:
  /// entries for them, as files of version 0.1.0 have, are dropped.
  ///
  /// - Returns: `nil` for an optimizer without memory.
  func writer(to path: String, for cohort: Cohort) throws(AggregationError) -> Writer? {
    guard !parts.isEmpty else { return nil }
    do {
      let tensors = cohort.tensors.filter { !cohort.buffers.contains($0.name) }
      let own = parts.flatMap { part in tensors.map { TensorDescription(name: "\(part)/\($0.name)", dtype: .f64, shape: $0.shape) } }
      let names = Set(own.map(\.name))
      let others =
        file?.tensors.filter { other in
          guard !names.contains(other.name), let slash = other.name.firstIndex(of: "/") else { return false }
          return !cohort.buffers.contains(String(other.name[other.name.index(after: slash)...]))
        } ?? []
      let all = own + others.map { TensorDescription(name: $0.name, dtype: $0.dtype, shape: $0.shape) }
      let writer = try SafetensorsWriter(path: path, tensors: all, metadata: ["muster.state": Self.version])
      let places = writer.places
      for other in others {
        let offset = try writer.header.tensor(named: other.name).byteRange.lowerBound
        try file?.withBytes(of: other.name) { (raw) throws(SafetensorsError) in try places.write(raw, at: offset) }
      }
      var offsets: [[Int]] = []
      for part in parts {
        var row: [Int] = []
        for tensor in cohort.tensors {
          let name = "\(part)/\(tensor.name)"
          // Buffers have no state, so this offset is not used.
          row.append(cohort.buffers.contains(tensor.name) ? 0 : try writer.header.tensor(named: name).byteRange.lowerBound)
        }
        offsets.append(row)
      }
      return Writer(file: writer, places: Places(places: places, offsets: offsets))
    } catch { throw .state(path: path, "cannot be written: \(error)", passing: error.isPassing) }
  }
}
