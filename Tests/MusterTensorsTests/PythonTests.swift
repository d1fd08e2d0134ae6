import FoundationEssentials
import MusterTensors
import TestSupport
import Testing

/// A Python with numpy and safetensors; `scripts/test` installs one.
private let python = ProcessInfo.processInfo.environment["MUSTER_PYTHON"]

@Suite("Python's safetensors package", .enabled(if: python != nil, "MUSTER_PYTHON names no Python with numpy and safetensors"))
struct PythonTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func run(_ arguments: String...) async throws {
    let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Python/interop.py").path
    let process = try ChildProcess(python ?? "", [script] + arguments, log: folder.file("log"))
    let status = try await process.wait(within: .seconds(60))
    #expect(status == 0, "\(process.log)")
  }

  /// The tensors that `interop.py` also builds.
  private func tensors() throws -> [Tensor] {
    func words<T: FixedWidthInteger>(_ values: T...) -> [UInt8] {
      values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    }
    let f64 = [0.1, -2.5, 1e300, .leastNonzeroMagnitude].map(\.bitPattern).flatMap { words($0) }
    return [
      try Tensor(name: "f64", dtype: .f64, shape: [2, 2], data: f64),
      try Tensor(name: "f32", shape: [2, 3, 4], floats: (0..<24).map { Float($0) / 7 }),
      try Tensor(name: "f16", shape: [4], floats: [0.1, 65504, -6e-8, 0], dtype: .f16),
      try Tensor(name: "i64", dtype: .i64, shape: [], data: words(Int64(-1) << 62)),
      try Tensor(name: "i32", dtype: .i32, shape: [2], data: words(Int32.min, Int32.max)),
      try Tensor(name: "i16", dtype: .i16, shape: [2], data: words(Int16.min, 12)),
      try Tensor(name: "i8", dtype: .i8, shape: [3], data: words(Int8.min, Int8.max, 3)),
      try Tensor(name: "u8", dtype: .u8, shape: [2], data: [0, 255]),
      try Tensor(name: "bool", dtype: .bool, shape: [3], data: [1, 0, 1]),
      try Tensor(name: "empty", dtype: .f32, shape: [0, 5], data: []),
      try Tensor(name: "ünï \"quoted\"\\", shape: [1], floats: [1.5]),
    ]
  }

  @Test("A file that Python wrote is read here, every tensor to the bit")
  func readsPython() async throws {
    let path = folder.file("python.safetensors")
    try await run("write", path)
    let file = try SafetensorsFile(path: path)
    #expect(file.metadata == ["written-by": "python", "text": "é \" \n"])
    #expect(file.tensors.count == (try tensors().count))
    for tensor in try tensors() { #expect(try file.tensor(named: tensor.name) == tensor) }
  }

  @Test("A file that was written here opens in Python, every tensor to the bit")
  func pythonReads() async throws {
    let path = folder.file("muster.safetensors")
    let brain = try Tensor(name: "bf16", shape: [3], floats: [1.5, -3.25, 0x1.fep127], dtype: .bf16)
    try SafetensorsWriter.write(tensors() + [brain], metadata: ["written-by": "muster", "text": "é \" \n"], to: path)
    try await run("check", path)
  }

  @Test("A model of one dtype is the same file, byte for byte, whoever writes it")
  func sameBytes() async throws {
    let (path, other) = (folder.file("muster.safetensors"), folder.file("python.safetensors"))
    let model = try ["fc2.weight", "conv1.bias", "a", "fc10.weight"].map { try Tensor(name: $0, shape: [3], floats: [1, 2, 3]) }
    try SafetensorsWriter.write(model, to: path)
    try await run("bytes", path, other)
    #expect(try Data(contentsOf: URL(filePath: path)) == Data(contentsOf: URL(filePath: other)))
  }
}
