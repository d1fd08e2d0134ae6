import MusterGround
internal import MusterSchema
internal import MusterTensors

/// What a server optimizer remembers: for every tensor that was folded so far and every part of its memory (m, v) as many numbers in F64,
/// in a safetensors file under `part/tensor`.
struct OptimizerState: Sendable {
  /// The version of the file, under `muster.state` in its metadata.
  static let version = "1"

  let parts: [String]
  private let file: SafetensorsFile?

  /// - Parameters:
  ///   - parts: the optimizer's memory.
  ///   - path: what it remembers; nil: it begins with zeros, as it does for a tensor that the file does not hold.
  ///   - base: whose tensors it is about.
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
        path: path, "is no optimizer's state of version \(Self.version): its muster.state is \(file.metadata["muster.state"] ?? "missing")")
    }
    let schema = base.schema
    for tensor in file.tensors {
      guard let slash = tensor.name.firstIndex(of: "/"), parts.contains(String(tensor.name[..<slash])) else {
        throw .state(
          path: path, "is another optimizer's: it holds \(shown(tensor.name)), this one remembers \(parts.joined(separator: ", "))")
      }
      let name = String(tensor.name[tensor.name.index(after: slash)...])
      guard tensor.dtype == .f64, tensor.shape == schema[name]?.shape else {
        throw .state(path: path, "is another model's: \(shown(tensor.name)) does not fit the base")
      }
      for part in parts where !file.header.contains("\(part)/\(name)") {
        throw .state(path: path, "is another optimizer's: it does not hold \(shown("\(part)/\(name)"))")
      }
    }
    if let bad = file.nonFiniteTensor() { throw .state(path: path, "holds an infinity or a NaN in \(shown(bad))") }
    self.file = file
  }

  /// Fills `buffer` with a part's elements of a tensor.
  ///
  /// - Returns: bytes read.
  func load(_ part: Int, _ tensor: String, _ elements: Range<Int>, into buffer: UnsafeMutableBufferPointer<Double>) -> Int {
    // Without a file it begins with zeros; with one, `init` has found every part of every tensor in it.
    guard let file, let info = try? file.header.tensor(named: "\(parts[part])/\(tensor)") else {
      buffer.update(repeating: 0)
      return 0
    }
    file.withBytes(of: info, elements: elements) { Conversion.load($0, .f64, into: buffer) }
    file.release(info, elements: elements)
    return elements.count * 8
  }

  /// Where the next state goes.
  struct Writer {
    let file: SafetensorsWriter
    let places: Places
  }

  struct Places: Sendable {
    let places: SafetensorsPlaces
    /// By part and tensor of the cohort.
    let offsets: [[Int]]

    func write(_ bytes: UnsafeRawBufferPointer, _ part: Int, _ tensor: Int, _ elements: Range<Int>) throws(SafetensorsError) {
      try places.write(bytes, at: offsets[part][tensor] + elements.lowerBound * 8)
    }
  }

  /// Begins the next state's file, with what is remembered of parameters that are not folded this time. Nothing is remembered of buffers,
  /// also not what version 0.1.0 did.
  ///
  /// - Returns: nil for an optimizer that remembers nothing.
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
          // No place is needed for a buffer.
          row.append(cohort.buffers.contains(tensor.name) ? 0 : try writer.header.tensor(named: name).byteRange.lowerBound)
        }
        offsets.append(row)
      }
      return Writer(file: writer, places: Places(places: places, offsets: offsets))
    } catch { throw .state(path: path, "cannot be written: \(error)", passing: error.isPassing) }
  }
}
