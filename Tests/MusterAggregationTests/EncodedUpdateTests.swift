import MusterTensors
import TestSupport
import Testing

@testable import MusterAggregation

@Suite("Encoded updates")
struct EncodedUpdateTests {
  static let encodings: [TensorEncoding] = [.float16, .bfloat16, .int8, .topK(fraction: 0.2)]
  static let shapes: [(name: String, shape: [Int])] = [("conv", [7, 3, 5, 5]), ("dense", [9, 2000]), ("bias", [10]), ("one", [])]

  private let round: Round
  private var random = SystemRandomNumberGenerator()

  init() throws {
    round = try Round()
    try round.write(Self.shapes.map { try random(1, $0) }, to: round.base)
  }

  private func random(_ size: Float, _ tensor: (name: String, shape: [Int])) throws -> Tensor {
    try Tensor(
      name: tensor.name, shape: tensor.shape, floats: (0..<tensor.shape.reduce(1, *)).map { _ in Float.random(in: -size...size) })
  }

  /// `count` encoded updates, and the same updates decoded into plain differences.
  private func updates(_ count: Int, _ encoding: TensorEncoding) throws -> (encoded: [StoredUpdate], plain: [StoredUpdate]) {
    let schema = try SafetensorsFile(path: round.base).schema
    var (encoded, plain): ([StoredUpdate], [StoredUpdate]) = ([], [])
    for index in 0..<count {
      let weight = Double(index % 4 + 1)
      let dense = round.folder.file("dense-\(index)")
      try round.write(try Self.shapes.map { try random(0.01 * Float(index + 1), $0) }, to: dense)
      let metadata = ["muster.content": "delta"]
      let file = round.folder.file("encoded-\(index)")
      try encoding.encode(update: SafetensorsFile(path: dense), since: nil, to: file, metadata: metadata)
      let back = round.folder.file("back-\(index)")
      try EncodedFile(SafetensorsFile(path: file), base: schema).decode(to: back, metadata: metadata)
      encoded.append(StoredUpdate(path: "n/\(index)", file: file, weight: weight))
      plain.append(StoredUpdate(path: "n/\(index)", file: back, weight: weight))
    }
    return (encoded, plain)
  }

  @Test(
    "give what their decoded copies give, by every rule", arguments: encodings, ["fedavg", "median", "krum", "bulyan", "fedadam", "rfa"])
  func same(encoding: TensorEncoding, strategy: String) throws {
    let (encoded, plain) = try updates(7, encoding)
    let rule = try Strategy(named: strategy)
    let one = try round.aggregate(encoded, rule)
    let result = try Self.shapes.map { try round.floats($0.name) }
    let two = try round.aggregate(plain, rule)
    #expect(one.accepted == two.accepted)
    for (index, (name, _)) in Self.shapes.enumerated() {
      for (x, y) in zip(result[index], try round.floats(name)) { #expect((x - y).magnitude <= 1e-6 * max(1, y.magnitude), "\(name)") }
    }
  }

  @Test("of float16, bfloat16 and top-k, bit for bit", arguments: [TensorEncoding.float16, .bfloat16, .topK(fraction: 0.2)])
  func sameBits(encoding: TensorEncoding) throws {
    let (encoded, plain) = try updates(7, encoding)
    try round.aggregate(encoded)
    let bytes = try round.bytes()
    try round.aggregate(plain)
    #expect(try round.bytes() == bytes)
  }

  @Test(
    "give the same bits, looked at where they lie or read slice by slice, and so do plain ones", arguments: encodings,
    ["fedavg", "median", "krum", "bulyan", "fedadam", "rfa"])
  func read(encoding: TensorEncoding, strategy: String) throws {
    let (encoded, plain) = try updates(7, encoding)
    let rule = try Strategy(named: strategy)
    for contributions in [encoded, plain] {
      try round.aggregate(contributions, rule)
      let mapped = try round.bytes()
      try Cohort.$mappedBytes.withValue(0) { _ = try round.aggregate(contributions, rule) }
      #expect(try round.bytes() == mapped)
    }
  }

  @Test("give the same bits in any order and with any number of threads", arguments: encodings)
  func order(encoding: TensorEncoding) throws {
    let (encoded, _) = try updates(9, encoding)
    try round.aggregate(encoded)
    let bytes = try round.bytes()
    try round.aggregate(encoded.reversed())
    #expect(try round.bytes() == bytes)
    _ = try aggregate(base: round.base, updates: encoded, strategy: Strategy(named: "fedavg"), output: round.output, threads: 3)
    #expect(try round.bytes() == bytes)
  }

  @Test("mix with plain ones")
  func mixed() throws {
    let contributions = try Self.encodings.enumerated().map { index, encoding in
      let (own, _) = try updates(1, encoding)
      let file = round.folder.file("kept-\(index)")
      try SafetensorsWriter.rewriteMetadata(
        from: SafetensorsFile(path: own[0].file), metadata: SafetensorsFile(path: own[0].file).metadata, to: file)
      return StoredUpdate(path: "n/\(index)", file: file, weight: 1)
    }
    let plain = try round.update("n/plain", [Tensor](Self.shapes.map { try random(1, $0) }))
    #expect(try round.aggregate(contributions + [plain]).accepted.count == 5)
  }

  @Test("that are hostile are refused by name, and the others count")
  func hostile() throws {
    let (encoded, _) = try updates(2, .topK(fraction: 0.1))
    let bad = try round.update(
      "n/bad", content: "delta",
      [
        Tensor(name: "index/bias", dtype: .i32, shape: [1], data: [200, 0, 0, 0]), Tensor(name: "value/bias", shape: [1], floats: [1]),
      ], metadata: ["muster.encoding": "topk"])
    let infinite = try round.update(
      "n/infinite", content: "delta",
      Self.shapes.flatMap {
        [
          try Tensor(name: "index/\($0.name)", dtype: .i32, shape: [1], data: [0, 0, 0, 0]),
          try Tensor(name: "value/\($0.name)", shape: [1], floats: [$0.name == "one" ? .infinity : 1]),
        ]
      }, metadata: ["muster.encoding": "topk"])
    let far = try round.update(
      "n/far", content: "delta",
      Self.shapes.flatMap {
        [
          try Tensor(
            name: "value/\($0.name)", dtype: .i8, shape: $0.shape, data: [UInt8](repeating: 127, count: $0.shape.reduce(1, *))),
          try Tensor(
            name: "scale/\($0.name)", shape: $0.shape.count < 2 ? [] : [$0.shape[0]],
            floats: [Float](repeating: 1e38, count: $0.shape.count < 2 ? 1 : $0.shape[0])),
        ]
      }, metadata: ["muster.encoding": "int8"])
    let result = try round.aggregate(encoded + [bad, infinite, far])
    #expect(result.accepted == ["n/0", "n/1"])
    let reasons = Dictionary(result.refused.map { ($0.path, $0.reason) }) { first, _ in first }
    #expect(reasons["n/bad"]?.contains("positions") == true)
    #expect(reasons["n/infinite"]?.contains("infinity") == true)
    #expect(reasons["n/far"]?.contains("range") == true)
  }
}
