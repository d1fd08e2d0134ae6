import FoundationEssentials
import Glibc
import MusterTensors

/// An update as it travels: float16, bfloat16, int8, top-k. The bytes are those of ``safetensors(_:)``, `r` or `j`.
func encodings(_ input: ArraySlice<UInt8>) {
  guard let bytes = SafetensorsInput(input)?.bytes, input.first != UInt8(ascii: "l") else { return }
  let folder = Scratch.folder
  let path = "\(folder)/in"
  Scratch.fill(path, bytes)
  let base = TensorSchema([
    TensorDescription(name: "w", dtype: .f32, shape: [3, 4]), TensorDescription(name: "b", dtype: .f32, shape: [5]),
    TensorDescription(name: "s", dtype: .f32, shape: []), TensorDescription(name: "n", dtype: .i64, shape: [2]),
  ])
  let encoded: EncodedFile
  do {
    encoded = try EncodedFile(try SafetensorsFile(path: path), base: base)
  } catch {
    requireFitForLogs("\(error)")
    return
  }
  if let difference = encoded.schema.difference(from: base, anyFloatingPoint: true) { requireFitForLogs(difference) }
  let broken = encoded.nonFiniteTensor()
  var numbers: [String: [Float]] = [:]
  for tensor in encoded.tensors where tensor.dtype.isFloatingPoint { numbers[tensor.name] = load(tensor, of: encoded, broken) }

  let decoded = "\(folder)/decoded"
  do {
    try encoded.decode(to: decoded)
    let plain = try SafetensorsFile(path: decoded)
    require(plain.schema.difference(from: encoded.schema, anyFloatingPoint: true) == nil, "decoded, it has another schema")
    for (name, wanted) in numbers {
      let found = try plain.floats(of: name)
      require(found.count == wanted.count && zip(found, wanted).allSatisfy { $0 == $1 }, "\(name) is decoded to other numbers")
    }
    encodeAnew(plain, folder)
  } catch {
    // Infinities, and numbers beyond float32.
    require(numbers.values.contains { $0.contains { !$0.isFinite } }, "it holds together, but cannot be decoded: \(error)")
    requireFitForLogs("\(error)")
  }
}

/// All numbers of a tensor, in ranges of odd lengths.
private func load(_ tensor: EncodedTensor, of file: EncodedFile, _ broken: String?) -> [Float] {
  let count = tensor.elementCount
  var numbers: [Float] = []
  withUnsafeTemporaryAllocation(of: Float.self, capacity: 997) { block in
    var start = 0
    while start < count {
      let part = start..<min(start + block.count, count)
      file.load(tensor, part, into: UnsafeMutableBufferPointer(rebasing: block[0..<part.count]))
      numbers += block[0..<part.count]
      start = part.upperBound
    }
  }
  if case .sparse = tensor.storage {
    let (isFinite, _) = file.forEachValue(of: tensor, in: 0..<count) { require(numbers[$0] == $1 || !$1.isFinite, "another number") }
    require(isFinite || broken != nil, "\(tensor.name) holds what is not finite, and nobody noticed")
  }
  return numbers
}

/// What is finite can be sent on in every encoding, but for numbers beyond float16.
private func encodeAnew(_ plain: SafetensorsFile, _ folder: String) {
  for encoding in [TensorEncoding.float16, .bfloat16, .int8, .topK(fraction: 0.3)] {
    let path = "\(folder)/encoded"
    do {
      if encoding.encodesModels {
        try encoding.encode(model: plain, to: path)
      } else {
        try encoding.encode(update: plain, since: nil, to: path)
      }
    } catch {
      // `value/` in front of a name may make it too long.
      switch error {
      case .encoding, .malformed: continue
      default: fail("what was decoded cannot be encoded: \(error)")
      }
    }
    do {
      let again = try EncodedFile(try SafetensorsFile(path: path), base: plain.schema)
      require(again.nonFiniteTensor() == nil, "\(encoding.name) made something that is not finite")
      let floats = Set(plain.schema.tensors.filter(\.dtype.isFloatingPoint).map(\.name))
      let difference = again.schema.difference(from: plain.schema, required: floats, anyFloatingPoint: true)
      require(difference == nil, "as \(encoding.name) it has another schema: \(difference ?? "")")
    } catch {
      fail("what was encoded as \(encoding.name) cannot be read: \(error)")
    }
  }
}

/// Files of this process in memory.
enum Scratch {
  static let folder: String = {
    let folder = "/dev/shm/muster-fuzz-\(getpid())"
    mkdir(folder, 0o700)
    atexit { Scratch.remove() }
    return folder
  }()

  private static func remove() {
    for name in ["in", "decoded", "encoded"] { unlink("\(folder)/\(name)") }
    rmdir(folder)
    // The state folder of the routes, if there is one.
    try? FileManager.default.removeItem(atPath: "\(folder)-store")
  }

  static func fill(_ path: String, _ bytes: [UInt8]) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    require(descriptor >= 0 && write(descriptor, bytes, bytes.count) == bytes.count, "\(path) cannot be written")
    close(descriptor)
  }
}

func encodingSeeds() throws -> [[UInt8]] {
  let path = "\(Scratch.folder)/in"
  let model = [
    try Tensor(name: "w", shape: [3, 4], floats: (0..<12).map { Float($0) - 5.5 }),
    try Tensor(name: "b", shape: [5], floats: [1, 0, -3, 1e-6, 2]),
    try Tensor(name: "s", shape: [], floats: [0.25]), try Tensor(name: "n", dtype: .i64, shape: [2], data: Array(repeating: 7, count: 16)),
  ]
  Scratch.fill(path, try SafetensorsWriter.bytes(model))
  let plain = try SafetensorsFile(path: path)
  var seeds = [Array("r".utf8) + (try SafetensorsWriter.bytes(model))]
  for encoding in [TensorEncoding.float16, .bfloat16, .int8, .topK(fraction: 0.5)] {
    let target = "\(Scratch.folder)/encoded"
    try encoding.encode(update: plain, since: nil, to: target)
    let bytes = Array(try Data(contentsOf: URL(filePath: target)))
    let length = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    seeds.append(Array("r".utf8) + bytes)
    seeds.append(Array("j".utf8) + bytes[8..<8 + length] + Array("\n".utf8) + bytes[(8 + length)...])
  }
  return seeds
}
