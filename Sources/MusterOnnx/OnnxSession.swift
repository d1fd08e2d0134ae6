internal import COnnxRuntime
internal import Glibc
package import MusterTensors

/// A graph that ONNX Runtime has loaded. Not for use by several threads.
package final class OnnxSession {
  /// An input or output of the graph.
  package struct Slot: Hashable, Sendable {
    package var name: String
    package var dtype: DType
    package var shape: [Int]

    package var count: Int { shape.reduce(1, *) }
  }

  package let inputs: [Slot]
  package let outputs: [Slot]
  private let handle: OpaquePointer

  /// Opens the first of these libraries that can be opened. Does nothing if this process has opened one already.
  package static func open(_ libraries: [String]) throws(OnnxError) {
    var failures: [String] = []
    for library in libraries {
      guard let message = muster_onnx_open(library) else { return }
      failures.append(taken(message))
    }
    throw .noLibrary(failures.joined(separator: "; "))
  }

  /// ONNX Runtime's version.
  package static var version: String { String(cString: muster_onnx_version()) }

  /// - Parameter threads: the number of threads for a run.
  package init(path: String, threads: Int) throws(OnnxError) {
    var session: OpaquePointer?
    try Self.check(muster_onnx_load(path, Int32(threads), &session))
    guard let session else { throw .runtime("it returned no session") }
    handle = session
    do throws(OnnxError) {
      var count = 0
      let inputs = muster_onnx_inputs(session, &count)
      self.inputs = try Self.slots(inputs, count)
      let outputs = muster_onnx_outputs(session, &count)
      self.outputs = try Self.slots(outputs, count)
    } catch {
      muster_onnx_close(session)
      throw error
    }
  }

  deinit { muster_onnx_close(handle) }

  private static func slots(_ slots: UnsafePointer<muster_onnx_slot>?, _ count: Int) throws(OnnxError) -> [Slot] {
    var result: [Slot] = []
    for slot in UnsafeBufferPointer(start: slots, count: count) {
      let name = String(cString: slot.name)
      guard let dtype = DType(onnx: slot.type) else { throw .step("\(shown(name)) has a type that is not supported") }
      let shape = withUnsafeBytes(of: slot.shape) { Array($0.bindMemory(to: Int64.self).prefix(slot.rank)) }
      guard shape.allSatisfy({ $0 > 0 }) else { throw .step("the shape of \(shown(name)) is not fixed") }
      let sizes = shape.map { Int($0) }
      guard dtype.byteCount(shape: sizes) != nil else { throw .step("\(shown(name)) is too large") }
      result.append(Slot(name: name, dtype: dtype, shape: sizes))
    }
    return result
  }

  /// The value of a key in the file's metadata_props, if it is there.
  package func metadata(_ key: String) throws(OnnxError) -> String? {
    var value: UnsafeMutablePointer<CChar>?
    try Self.check(muster_onnx_metadata(handle, key, &value))
    return value.map { Self.taken($0) }
  }

  /// Prepares a run from input buffers to output buffers. The returned call keeps the buffers alive.
  func call(inputs: [(name: String, buffer: Buffer)], outputs: [(name: String, buffer: Buffer)]) throws(OnnxError) -> Call {
    try Call(self, inputs, outputs)
  }

  /// The memory of one tensor.
  final class Buffer {
    let slot: Slot
    let bytes: UnsafeMutableRawBufferPointer

    init(_ slot: Slot) {
      self.slot = slot
      bytes = .allocate(byteCount: max(1, slot.count * slot.dtype.byteSize), alignment: 64)
      bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit { bytes.deallocate() }

    var floats: UnsafeMutableBufferPointer<Float> { bytes.assumingMemoryBound(to: Float.self) }
    var integers: UnsafeMutableBufferPointer<Int64> { bytes.assumingMemoryBound(to: Int64.self) }
    /// The value of a scalar.
    var float: Float {
      get { floats[0] }
      set { floats[0] = newValue }
    }
  }

  /// A run with bound inputs and outputs, which allocates and copies nothing.
  final class Call {
    private let session: OnnxSession
    private let buffers: [Buffer]
    private let names: [UnsafeMutablePointer<CChar>?]
    private var values: [OpaquePointer?] = []
    private let inputCount: Int

    fileprivate init(
      _ session: OnnxSession, _ inputs: [(name: String, buffer: Buffer)], _ outputs: [(name: String, buffer: Buffer)]
    ) throws(OnnxError) {
      self.session = session
      buffers = (inputs + outputs).map(\.buffer)
      names = (inputs + outputs).map { strdup($0.name) }
      inputCount = inputs.count
      for buffer in buffers {
        var value: OpaquePointer?
        let shape = buffer.slot.shape.map { Int64($0) }
        try OnnxSession.check(
          muster_onnx_wrap(
            session.handle, buffer.slot.dtype.onnx, shape, shape.count, buffer.bytes.baseAddress,
            buffer.slot.count * buffer.slot.dtype.byteSize, &value))
        values.append(value)
      }
    }

    deinit {
      for value in values { muster_onnx_release(value) }
      for name in names { free(name) }
    }

    func run() throws(OnnxError) {
      let message = names.withUnsafeBufferPointer { names in
        values.withUnsafeMutableBufferPointer { values -> UnsafeMutablePointer<CChar>? in
          guard let names = names.baseAddress, let values = values.baseAddress else { return nil }
          return names.withMemoryRebound(to: UnsafePointer<CChar>?.self, capacity: buffers.count) { names in
            muster_onnx_run(
              session.handle, names, values, inputCount, names + inputCount, values + inputCount, buffers.count - inputCount)
          }
        }
      }
      try OnnxSession.check(message)
    }
  }

  fileprivate static func check(_ message: UnsafeMutablePointer<CChar>?) throws(OnnxError) {
    if let message { throw .runtime(taken(message)) }
  }

  private static func taken(_ text: UnsafeMutablePointer<CChar>) -> String {
    defer { free(text) }
    return String(cString: text)
  }
}

extension DType {
  private static let numbers: [(Int32, DType)] = [
    (1, .f32), (2, .u8), (3, .i8), (5, .i16), (6, .i32), (7, .i64), (9, .bool), (10, .f16), (11, .f64), (16, .bf16),
  ]

  /// The type with this number in ONNX; `nil` if Muster has no such type.
  init?(onnx number: Int32) {
    guard let found = Self.numbers.first(where: { $0.0 == number }) else { return nil }
    self = found.1
  }

  var onnx: Int32 { Self.numbers.first { $0.1 == self }?.0 ?? 0 }
}
