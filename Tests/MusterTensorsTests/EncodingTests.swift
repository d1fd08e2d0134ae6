import MusterTensors
import TestSupport
import Testing

@Suite("Tensors that travel in fewer bits")
struct EncodingTests {
  /// Rows of seeded random numbers of very different sizes.
  static func rows(_ count: Int, of length: Int, largest: Float, seed: UInt64) -> [[Float]] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { row in
      switch row % 6 {
      case 0: [Float](repeating: 0, count: length)
      case 1: [Float](repeating: Float.random(in: -1...1, using: &generator), count: length)
      case 2: (0..<length).map { _ in Float.random(in: -1...1, using: &generator) * 300 * .leastNonzeroMagnitude }
      case 3: (0..<length).map { _ in Float.random(in: -1...1, using: &generator) * largest }
      case 4: (0..<length).map { _ in Float.random(in: -1...1, using: &generator) * 1e-6 }
      default: (0..<length).map { $0 == 0 ? largest : Float.random(in: -1...1, using: &generator) }
      }
    }
  }

  /// Encodes a model and decodes it again.
  private func roundTrip(_ encoding: TensorEncoding, _ tensors: [Tensor]) throws -> SafetensorsFile {
    let folder = try TemporaryFolder()
    try SafetensorsWriter.write(tensors, to: folder.file("model"))
    let model = try SafetensorsFile(path: folder.file("model"))
    try encoding.encode(model: model, to: folder.file("encoded"))
    try EncodedFile(SafetensorsFile(path: folder.file("encoded"))).decode(to: folder.file("decoded"))
    return try SafetensorsFile(path: folder.file("decoded"))
  }

  @Test("float16: within half a unit in the last place of eleven bits", arguments: 1...20 as ClosedRange<UInt64>)
  func float16(seed: UInt64) throws {
    let values = Self.rows(12, of: 37, largest: 65000, seed: seed).flatMap { $0 }
    let back = try roundTrip(.float16, [Tensor(name: "w", shape: [12, 37], floats: values)]).floats(of: "w")
    for (x, y) in zip(values, back) { #expect((x - y).magnitude <= max(0x1p-11 * x.magnitude, 0x1p-25), "\(x) came back as \(y)") }
  }

  @Test("bfloat16: within half a unit in the last place of eight bits", arguments: 1...20 as ClosedRange<UInt64>)
  func bfloat16(seed: UInt64) throws {
    let values = Self.rows(12, of: 37, largest: 3e38, seed: seed).flatMap { $0 }
    let back = try roundTrip(.bfloat16, [Tensor(name: "w", shape: [12, 37], floats: values)]).floats(of: "w")
    for (x, y) in zip(values, back) {
      #expect((x - y).magnitude <= max(0x1p-8 * x.magnitude, 0x1p-134), "\(x) came back as \(y)")
    }
  }

  @Test("int8: within half a step of the channel's scale", arguments: 1...20 as ClosedRange<UInt64>)
  func int8(seed: UInt64) throws {
    let rows = Self.rows(12, of: 37, largest: .greatestFiniteMagnitude, seed: seed)
    let line = Self.rows(4, of: 50, largest: 1e30, seed: seed)[3]
    let file = try roundTrip(
      .int8,
      [
        Tensor(name: "w", shape: [12, 37], floats: rows.flatMap { $0 }), Tensor(name: "b", shape: [50], floats: line),
        Tensor(name: "s", shape: [], floats: [0.3]), Tensor(name: "none", shape: [3, 0], floats: []),
        Tensor(name: "n", dtype: .i64, shape: [1], data: [7, 0, 0, 0, 0, 0, 0, 0]),
      ])
    func check(_ values: [Float], _ back: ArraySlice<Float>) {
      let largest = values.map { Double($0.magnitude) }.max() ?? 0
      // Half a step, plus the rounding to float32, plus the coarse scale of the very smallest channels.
      let bound = largest / 254 * (1 + 1e-5) + Double(Float.leastNonzeroMagnitude)
      for (x, y) in zip(values, back) { #expect((Double(x) - Double(y)).magnitude <= bound, "\(x) came back as \(y)") }
    }
    let back = try file.floats(of: "w")
    for (index, row) in rows.enumerated() { check(row, back[index * 37..<(index + 1) * 37]) }
    check(line, try file.floats(of: "b")[...])
    check([0.3], try file.floats(of: "s")[...])
    #expect(try file.tensor(named: "n").data == [7, 0, 0, 0, 0, 0, 0, 0])
    #expect(try file.header.tensor(named: "none").shape == [3, 0])
  }

  @Test("a model's int8 file is a quarter of it, and its names cannot clash")
  func names() throws {
    let folder = try TemporaryFolder()
    let tensors = try [
      Tensor(name: "w", shape: [100, 1000], floats: [Float](repeating: 1, count: 100_000)),
      Tensor(name: "scale/w", shape: [2], floats: [1, 2]), Tensor(name: "value/w", shape: [2], floats: [3, 4]),
      // The name begins with a combining mark, which joins the character before it.
      Tensor(name: "\u{301}n", shape: [2], floats: [5, 6]),
    ]
    try SafetensorsWriter.write(tensors, to: folder.file("model"))
    try TensorEncoding.int8.encode(model: SafetensorsFile(path: folder.file("model")), to: folder.file("encoded"))
    let encoded = try EncodedFile(SafetensorsFile(path: folder.file("encoded")))
    #expect(encoded.file.header.dataByteCount == 100_000 + 400 + 3 * (2 + 4))
    #expect(encoded.schema == TensorSchema(tensors.map(\.description)))
    try encoded.decode(to: folder.file("decoded"))
    let last = try #require(try SafetensorsFile(path: folder.file("decoded")).floats(of: "value/w").last)
    #expect((last - 4).magnitude < 1e-6)
  }

  @Test("what does not fit its encoding is said, and nothing is written")
  func range() throws {
    let folder = try TemporaryFolder()
    try SafetensorsWriter.write([Tensor(name: "w", shape: [2], floats: [1, 1e5])], to: folder.file("model"))
    let model = try SafetensorsFile(path: folder.file("model"))
    #expect(throws: SafetensorsError.encoding("\"w\" exceeds the range of float16: use int8 or float32")) {
      try TensorEncoding.float16.encode(model: model, to: folder.file("encoded"))
    }
    try SafetensorsWriter.write([Tensor(name: "w", shape: [2], floats: [1, .nan])], to: folder.file("nan"))
    for encoding in [TensorEncoding.float16, .bfloat16, .int8, .topK(fraction: 0.5)] {
      #expect(throws: SafetensorsError.self) {
        try encoding.encode(update: SafetensorsFile(path: folder.file("nan")), since: nil, to: folder.file("encoded"))
      }
    }
    #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: folder.file("encoded")) }
  }

  @Test("an update travels as its difference, without tensors of integers")
  func difference() throws {
    let folder = try TemporaryFolder()
    let count = try Tensor(name: "n", dtype: .i32, shape: [1], data: [1, 0, 0, 0])
    try SafetensorsWriter.write([Tensor(name: "w", shape: [3], floats: [1, 2, 3]), count], to: folder.file("base"))
    try SafetensorsWriter.write([Tensor(name: "w", shape: [3], floats: [1.5, 2, 2.75]), count], to: folder.file("update"))
    let (base, update) = try (SafetensorsFile(path: folder.file("base")), SafetensorsFile(path: folder.file("update")))
    try TensorEncoding.float16.encode(update: update, since: base, to: folder.file("encoded"), metadata: ["muster.content": "delta"])
    let encoded = try SafetensorsFile(path: folder.file("encoded"))
    #expect(encoded.metadata == ["muster.content": "delta", "muster.encoding": "float16"])
    #expect(encoded.tensors.map(\.name) == ["w"])
    #expect(try encoded.floats(of: "w") == [0.5, 0, -0.25])
    try SafetensorsWriter.write([Tensor(name: "w", shape: [2], floats: [1, 2])], to: folder.file("other"))
    #expect(throws: SafetensorsError.self) {
      try TensorEncoding.int8.encode(update: update, since: SafetensorsFile(path: folder.file("other")), to: folder.file("encoded"))
    }
  }

  // MARK: Buffers

  private static let encodings = [TensorEncoding.float16, .bfloat16, .int8, .topK(fraction: 0.3)]

  @Test("buffers travel whole: no encoding rounds them, leaves some out, or adds what was left out before", arguments: encodings)
  func buffers(encoding: TensorEncoding) throws {
    let folder = try TemporaryFolder()
    func write(_ name: String, _ w: [Float], _ v: [Float]) throws -> SafetensorsFile {
      try SafetensorsWriter.write(
        [Tensor(name: "w", shape: [w.count], floats: w), Tensor(name: "bn.running_var", shape: [v.count], floats: v)], to: folder.file(name)
      )
      return try SafetensorsFile(path: folder.file(name))
    }
    let base = try write("base", [0, 0, 0, 0], [1, 1, 1, 1])
    let said: [Float] = [0.01, 1e-7, 70_000, 1.001]
    let update = try write("update", [4, 3, 2, 1], said)
    let residual = try write("residual", [0, 0, 0, 8], [9, 9, 9, 9])
    let sparse = !encoding.encodesModels
    try encoding.encode(
      update: update, since: base, to: folder.file("encoded"), residual: sparse ? residual : nil,
      newResidual: sparse ? folder.file("rest") : nil)
    let encoded = try EncodedFile(SafetensorsFile(path: folder.file("encoded")), base: base.schema)
    #expect(encoded.schema.difference(from: base.schema, anyFloatingPoint: true) == nil)
    try encoded.decode(to: folder.file("decoded"))
    let sent = try SafetensorsFile(path: folder.file("decoded")).floats(of: "bn.running_var")
    #expect(sent == said.map { $0 - 1 })
    if sparse { #expect(try SafetensorsFile(path: folder.file("rest")).tensors.map(\.name) == ["w"]) }
  }

  @Test("a model's buffers travel exactly, and its declaration with them", arguments: encodings.dropLast())
  func bufferModels(encoding: TensorEncoding) throws {
    let folder = try TemporaryFolder()
    let values: [Float] = [0.123_456_7, 1e-7, 70_000]
    let metadata = ["muster.buffers": "[\"state\"]"]
    try SafetensorsWriter.write(
      [Tensor(name: "w", shape: [3], floats: [1, 2, 3]), Tensor(name: "state", shape: [3], floats: values)], metadata: metadata,
      to: folder.file("model"))
    try encoding.encode(model: SafetensorsFile(path: folder.file("model")), to: folder.file("wire"))
    try EncodedFile(SafetensorsFile(path: folder.file("wire"))).decode(to: folder.file("decoded"))
    let file = try SafetensorsFile(path: folder.file("decoded"))
    #expect(try file.floats(of: "state") == values)
    #expect(file.metadata == metadata)
  }

  @Test("a declaration of buffers replaces the frameworks' names, and one that is not understood is an error")
  func declarations() throws {
    let usual = try ModelBuffers(metadata: [:])
    #expect(usual.contains("bn1.running_var") && usual.contains("layer/moving_mean") && !usual.contains("fc.weight"))
    let own = try ModelBuffers(metadata: ["muster.buffers": " [ \"ema\", \"bn\\u0031\" ] "])
    #expect(own.contains("ema") && own.contains("bn1") && !own.contains("bn1.running_var"))
    let schema = TensorSchema([TensorDescription(name: "ema", dtype: .f32, shape: [1])])
    #expect(own.problem(in: schema) == "its muster.buffers names \"bn1\", which is not a tensor of the model")
    #expect(try !ModelBuffers(metadata: ["muster.buffers": "[]"]).contains("running_var"))
    for wrong in ["", "ema", "[", "[1]", "[\"a\"", "[\"a\"] x", "{\"a\":1}", "[\"a\",]"] {
      #expect(throws: SafetensorsError.self, "\(wrong)") { try ModelBuffers(metadata: ["muster.buffers": wrong]) }
    }
  }

  // MARK: Top-k

  @Test("top-k sends the largest, of equal ones the first, and the rest goes into the residual")
  func largest() throws {
    let folder = try TemporaryFolder()
    let values: [Float] = [0.5, -3, 0, 2, -2, 2, 0.25, -0.0, 0x1p-140, 1]
    try SafetensorsWriter.write([Tensor(name: "w", shape: [2, 5], floats: values)], to: folder.file("update"))
    try TensorEncoding.topK(fraction: 0.3).encode(
      update: SafetensorsFile(path: folder.file("update")), since: nil, to: folder.file("encoded"), newResidual: folder.file("rest"))
    let file = try SafetensorsFile(path: folder.file("encoded"))
    #expect(file.metadata["muster.encoding"] == "topk")
    #expect(try file.floats(of: "value/w") == [-3, 2, -2])
    let positions = try file.tensor(named: "index/w").data.withUnsafeBytes { raw in
      stride(from: 0, to: raw.count, by: 4).map { raw.loadUnaligned(fromByteOffset: $0, as: Int32.self) }
    }
    #expect(positions == [1, 3, 4])
    let rest = try SafetensorsFile(path: folder.file("rest")).floats(of: "w")
    #expect(rest == [0.5, 0, 0, 0, 0, 2, 0.25, 0, 0x1p-140, 1])
    let base = TensorSchema([TensorDescription(name: "w", dtype: .f32, shape: [2, 5])])
    try EncodedFile(file, base: base).decode(to: folder.file("decoded"))
    let sent = try SafetensorsFile(path: folder.file("decoded")).floats(of: "w")
    #expect(zip(sent, rest).map { $0 + $1 } == values)
  }

  @Test("over many rounds what was sent and what is left make up all that was learned")
  func feedback() throws {
    let folder = try TemporaryFolder()
    let base = TensorSchema([TensorDescription(name: "w", dtype: .f32, shape: [200])])
    var generator = SeededGenerator(seed: 3)
    var (learned, sent) = ([Double](repeating: 0, count: 200), [Double](repeating: 0, count: 200))
    for round in 0..<30 {
      let values = (0..<200).map { Float($0 % 7) * 0.01 + Float.random(in: -0.1...0.1, using: &generator) }
      try SafetensorsWriter.write([Tensor(name: "w", shape: [200], floats: values)], to: folder.file("update"))
      let residual = round == 0 ? nil : try SafetensorsFile(path: folder.file("rest"))
      try TensorEncoding.topK(fraction: 0.05).encode(
        update: SafetensorsFile(path: folder.file("update")), since: nil, to: folder.file("encoded"), residual: residual,
        newResidual: folder.file("rest"))
      let encoded = try EncodedFile(SafetensorsFile(path: folder.file("encoded")), base: base)
      #expect(encoded.file.header.dataByteCount == 10 * 8)
      try encoded.decode(to: folder.file("decoded"))
      for (i, value) in try SafetensorsFile(path: folder.file("decoded")).floats(of: "w").enumerated() { sent[i] += Double(value) }
      for i in 0..<200 { learned[i] += Double(values[i]) }
    }
    let rest = try SafetensorsFile(path: folder.file("rest")).floats(of: "w")
    for i in 0..<200 { #expect((learned[i] - sent[i] - Double(rest[i])).magnitude < 1e-5) }
    // No difference is held back forever: the residual is of the size of recent differences.
    #expect(rest.map(\.magnitude).max() ?? 0 < 1.5)
  }

  // MARK: Invalid files

  private static func ints(_ values: [Int32]) -> [UInt8] {
    values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
  }

  private func open(_ encoding: String, _ tensors: [Tensor]) throws -> EncodedFile {
    let folder = try TemporaryFolder()
    try SafetensorsWriter.write(tensors, metadata: ["muster.encoding": encoding], to: folder.file("x"))
    return try EncodedFile(
      SafetensorsFile(path: folder.file("x")), base: TensorSchema([TensorDescription(name: "w", dtype: .f32, shape: [2, 2])]))
  }

  @Test("files whose parts do not belong together are refused")
  func hostile() throws {
    let bytes = try Tensor(name: "value/w", dtype: .i8, shape: [2, 2], data: [1, 2, 3, 4])
    let good = try Tensor(name: "scale/w", shape: [2], floats: [1, 2])
    #expect(try open("int8", [bytes, good]).schema["w"]?.shape == [2, 2])
    func index(_ values: [Int32]) throws -> Tensor {
      try Tensor(name: "index/w", dtype: .i32, shape: [values.count], data: Self.ints(values))
    }
    let two = try Tensor(name: "value/w", shape: [2], floats: [1, 2])
    #expect(try open("topk", [index([0, 3]), two]).schema["w"]?.shape == [2, 2])

    let wrong: [(String, [Tensor])] = try [
      ("morse", [bytes, good]), ("int8", [good]), ("int8", [bytes, Tensor(name: "scale/w", shape: [1], floats: [1])]),
      ("int8", [bytes, Tensor(name: "scale/w", shape: [2], floats: [1, .infinity])]),
      ("int8", [bytes, Tensor(name: "scale/w", shape: [2], floats: [1, .nan])]),
      ("int8", [bytes, Tensor(name: "scale/w", shape: [2], floats: [1, -1])]),
      ("int8", [bytes, Tensor(name: "scale/w", shape: [2], floats: [1, 1], dtype: .f16)]),
      ("int8", [bytes, good, Tensor(name: "w", shape: [1], floats: [1])]), ("int8", [index([0, 3]), two]),
      ("topk", [bytes, good]), ("topk", [index([0, 4]), two]), ("topk", [index([-1, 3]), two]), ("topk", [index([3, 0]), two]),
      ("topk", [index([3, 3]), two]), ("topk", [index([3]), two]), ("topk", [index([0, 3])]),
      (
        "topk",
        [
          Tensor(name: "index/x", dtype: .i32, shape: [1], data: Self.ints([0])), Tensor(name: "value/x", shape: [1], floats: [1]),
        ]
      ),
    ]
    for (encoding, tensors) in wrong { #expect(throws: SafetensorsError.self, "\(encoding), \(tensors)") { try open(encoding, tensors) } }
    let infinite = try open("topk", [index([0, 3]), Tensor(name: "value/w", shape: [2], floats: [1, .infinity])])
    #expect(infinite.nonFiniteTensor() == "w")
    #expect(try open("int8", [bytes, good]).nonFiniteTensor() == nil)
  }
}
