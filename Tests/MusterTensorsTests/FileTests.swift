import FoundationEssentials
import Glibc
import TestSupport
import Testing

@testable import MusterTensors

@Suite("Safetensors files")
struct FileTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func tensors() throws -> [Tensor] {
    [
      try Tensor(name: "fc.weight", shape: [2, 3], floats: [1, 2, 3, 4, 5, 6.5]),
      try Tensor(name: "fc.bias", shape: [2], floats: [0.5, -0.5], dtype: .f16),
      try Tensor(name: "steps", dtype: .i64, shape: [], data: [7, 0, 0, 0, 0, 0, 0, 0]),
      try Tensor(name: "mask", dtype: .bool, shape: [3], data: [1, 0, 1]),
      try Tensor(name: "empty", dtype: .f32, shape: [0, 4], data: []),
    ]
  }

  private func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }
  private func entries() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }

  @Test("What is written is read again")
  func roundTrip() throws {
    let path = folder.file("model.safetensors")
    try SafetensorsWriter.write(tensors(), metadata: ["muster.task": "digits", "quote": "\"\\\n\u{1}é"], to: path)
    let file = try SafetensorsFile(path: path)
    #expect(file.metadata == ["muster.task": "digits", "quote": "\"\\\n\u{1}é"])
    #expect(file.tensors.map(\.name) == ["steps", "empty", "fc.weight", "fc.bias", "mask"])
    for tensor in try tensors() { #expect(try file.tensor(named: tensor.name) == tensor) }
    #expect(try file.floats(of: "fc.weight") == [1, 2, 3, 4, 5, 6.5])
    #expect(try file.floats(of: "fc.bias") == [0.5, -0.5])
    #expect(try file.withBytes(of: "mask") { Array($0) } == [1, 0, 1])
    #expect(file.nonFiniteTensor() == nil)
    #expect(throws: SafetensorsError.notFloatingPoint(tensor: "steps", dtype: .i64)) { try file.floats(of: "steps") }
    #expect(throws: SafetensorsError.noSuchTensor("fc2")) { try file.floats(of: "fc2") }
    #expect(try entries() == ["model.safetensors"])
  }

  @Test("A part of a file can be one, wherever it lies, and bytes in memory", arguments: [0, 1, 64, 4096, 70_001])
  func part(offset: Int) throws {
    let bytes = try SafetensorsWriter.bytes(tensors())
    let path = try folder.write([UInt8](repeating: 0xff, count: offset) + bytes + [1, 2, 3], to: "pack")
    let range = offset..<offset + bytes.count
    for file in [try SafetensorsFile(path: path, range: range), try .init(reading: path, range: range), try .init(bytes: bytes)] {
      for tensor in try tensors() { #expect(try file.tensor(named: tensor.name) == tensor) }
      #expect(file.withFile { Array($0) } == bytes)
    }
    let file = try SafetensorsFile(reading: path, range: range)
    var values = [Float](repeating: 0, count: 2)
    #expect(values.withUnsafeMutableBytes { file.read(file.header.tensors[2], 4..<6, into: $0.baseAddress!) })
    #expect(values == [5, 6.5])
    for wrong in [offset..<offset + bytes.count + 4, offset..<offset + bytes.count - 1, offset..<offset, -1..<4] {
      #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: path, range: wrong) }
    }
  }

  @Test("The same tensors in any order give the same bytes, to the letter")
  func deterministic() throws {
    let metadata = Dictionary(uniqueKeysWithValues: (0..<20).map { ("key\($0)", "value\($0)") })
    let one = try SafetensorsWriter.bytes(tensors(), metadata: metadata)
    #expect(try SafetensorsWriter.bytes(tensors().reversed(), metadata: metadata) == one)
    let path = folder.file("model.safetensors")
    try SafetensorsWriter.write(tensors().reversed(), metadata: metadata, to: path)
    #expect(try bytes(path) == one)
    let small = try SafetensorsWriter.headerBytes(
      tensors: [.init(name: "b", dtype: .f32, shape: [2]), .init(name: "a", dtype: .f32, shape: [])], metadata: ["z": "1", "y": "/"])
    let json = """
      {"__metadata__":{"y":"/","z":"1"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},\
      "b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}
      """
    #expect(String(decoding: small[8...], as: UTF8.self).trimmingPrefix(json).allSatisfy { $0 == " " })
    #expect(small.count % 8 == 0 && Int(small[0]) == small.count - 8)
  }

  @Test("A file is written in slices, and only a complete one appears")
  func streams() throws {
    let path = folder.file("model.safetensors")
    let written = try tensors()
    do {
      let writer = try SafetensorsWriter(path: path, tensors: written.map(\.description))
      try writer.write([1, 2, 3])
      #expect(throws: SafetensorsError.wrongDataLength(tensor: nil, expected: 39, found: 3)) { try writer.finish() }
      #expect(throws: SafetensorsError.wrongDataLength(tensor: nil, expected: 39, found: 40)) {
        try writer.write([UInt8](repeating: 0, count: 37))
      }
      #expect(try entries().count == 1 && !entries().contains("model.safetensors"))
    }
    #expect(try entries().isEmpty)
    let whole = try SafetensorsWriter.bytes(written)
    let writer = try SafetensorsWriter(path: path, tensors: written.map(\.description))
    var rest = whole[writer.header.dataOffset...]
    while !rest.isEmpty {
      try writer.write(Array(rest.prefix(5)))
      rest = rest.dropFirst(5)
    }
    try writer.finish()
    #expect(try bytes(path) == whole)
  }

  @Test("New metadata is put in front of the same data, also into the file's own place")
  func rewrites() throws {
    let path = folder.file("update.safetensors")
    try SafetensorsWriter.write(tensors(), metadata: ["old": "1"], to: path)
    let before = try SafetensorsFile(path: path)
    let metadata = ["muster.weight": "120", "muster.metrics": "{\"loss\":0.25}", "padding": String(repeating: "x", count: 9000)]
    try SafetensorsWriter.rewriteMetadata(from: before, metadata: metadata, to: path)
    let after = try SafetensorsFile(path: path)
    #expect(after.metadata == metadata)
    #expect(after.tensors == before.tensors)
    #expect(after.withData { Array($0) } == before.withData { Array($0) })
    #expect(before.metadata == ["old": "1"])
  }

  @Test("Metadata can be replaced before a header that was spelled by another tool and is not aligned")
  func rewritesForeign() throws {
    let foreign = file(
      "{\"z\" : {\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]} ,\"a\":{\"shape\":[1],\"dtype\":\"F32\",\"data_offsets\":[1,5]}}")
    let path = try folder.write(foreign + [9, 0, 0, 0x80, 0x3f], to: "foreign.safetensors")
    #expect(try SafetensorsFile(path: path).floats(of: "a") == [1])
    try SafetensorsWriter.rewriteMetadata(from: SafetensorsFile(path: path), metadata: ["k": "v"], to: folder.file("new"))
    let new = try SafetensorsFile(path: folder.file("new"))
    #expect(new.header.dataOffset % 8 == 0)
    #expect(try new.floats(of: "a") == [1])
    #expect(try new.withBytes(of: "z") { Array($0) } == [9])
  }

  @Test("A file that is truncated anywhere is refused when it is opened")
  func truncated() throws {
    let whole = try SafetensorsWriter.bytes(tensors())
    for count in 0..<whole.count {
      let path = try folder.write(Array(whole.prefix(count)), to: "short")
      #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: path) }
    }
    let long = try folder.write(whole + [0], to: "long")
    #expect(throws: SafetensorsError.dataNotCovered(expected: 39, found: 40)) { try SafetensorsFile(path: long) }
  }

  @Test("What is no file is refused with the reason")
  func noFile() throws {
    let missing = folder.file("missing")
    #expect(throws: SafetensorsError.system(action: "open", path: missing, code: ENOENT)) { try SafetensorsFile(path: missing) }
    #expect(throws: SafetensorsError.notAFile(path: folder.path)) { try SafetensorsFile(path: folder.path) }
    #expect(throws: SafetensorsError.notAFile(path: "/dev/zero")) { try SafetensorsFile(path: "/dev/zero") }
    let error = #expect(throws: SafetensorsError.self) { try SafetensorsWriter.write([], to: "\(missing)/a") }
    #expect("\(error.map(String.init(describing:)) ?? "")".contains("No such file or directory"))
  }

  @Test("The first tensor with a number that is none is named, whatever its dtype", arguments: [DType.f64, .f32, .f16, .bf16])
  func nonFinite(dtype: DType) throws {
    var values = [Float](repeating: 1, count: 300_000)
    values[299_999] = .nan
    let path = folder.file("bad.safetensors")
    try SafetensorsWriter.write(
      [
        Tensor(name: "a", shape: [3], floats: [1, 2, 3], dtype: dtype), Tensor(name: "b", shape: [300_000], floats: values, dtype: dtype),
        Tensor(name: "c", shape: [], floats: [.infinity], dtype: dtype),
        // These bytes are a NaN as floats, but not as integers.
        Tensor(name: "i", dtype: .i64, shape: [1], data: [UInt8](repeating: 255, count: 8)),
      ], to: path)
    #expect(try nonFiniteTensor(in: path) == "b")
  }

  @Test("A tensor in memory must be what it says")
  func tensorChecks() {
    #expect(throws: SafetensorsError.wrongDataLength(tensor: "t", expected: 8, found: 4)) {
      try Tensor(name: "t", shape: [2], floats: [1])
    }
    #expect(throws: SafetensorsError.notFloatingPoint(tensor: "t", dtype: .i32)) {
      try Tensor(name: "t", shape: [], floats: [1], dtype: .i32)
    }
    #expect(throws: SafetensorsError.self) { try Tensor(name: "t", dtype: .u8, shape: [-1], data: []) }
    #expect(throws: SafetensorsError.duplicateName("a")) {
      try SafetensorsHeader(tensors: [.init(name: "a", dtype: .u8, shape: []), .init(name: "a", dtype: .f32, shape: [])])
    }
    #expect(throws: SafetensorsError.duplicateName("__metadata__")) {
      try SafetensorsHeader(tensors: [.init(name: "__metadata__", dtype: .u8, shape: [])])
    }
    #expect(throws: SafetensorsError.self) {
      try SafetensorsHeader(tensors: [.init(name: "a", dtype: .u8, shape: [.max]), .init(name: "b", dtype: .u8, shape: [1])])
    }
  }
}
