import FoundationEssentials
import MusterTensors
import TestSupport
import Testing

@testable import MusterAggregation

@Suite("Means with replace")
struct MeanTests {
  @Test("The mean is weighted by samples under its names, and plain as uniform")
  func byHand() throws {
    let round = try Round()
    try round.base(tensor("w", [10, 20]))
    let updates = [try round.update("a", weight: 1, tensor("w", [1, 2])), try round.update("b", weight: 3, tensor("w", [5, -6]))]
    for name in ["fedavg", "mean"] {
      let result = try round.aggregate(updates, Strategy(named: name))
      #expect(try round.floats("w") == [4, -4])
      #expect(result.accepted == ["a", "b"] && result.refused.isEmpty && result.weight == 4)
      #expect(result.bytesRead == 3 * 8)
    }
    try round.aggregate(updates, Strategy(named: "uniform"))
    #expect(try round.floats("w") == [3, -2])
  }

  @Test("Updates that lie in one file give the same bytes, mapped and read", arguments: ["fedavg", "median", "krum"])
  func packed(name: String) throws {
    let round = try Round()
    try round.base(tensor("w", (0..<20_000).map { Float($0) }), tensor("h", [1, 2, 3]))
    let updates = try (0..<9).map { number in
      try round.update(
        "n/\(number)", weight: Double(number + 1), tensor("w", (0..<20_000).map { Float($0 % (number + 7)) }),
        tensor("h", [0, Float(number), 1]))
    }
    let strategy = try Strategy(named: name)
    try round.aggregate(updates, strategy)
    let expected = try round.bytes()
    for mappedBytes in [0, 64 << 20] {
      try Cohort.$mappedBytes.withValue(mappedBytes) { _ = try round.aggregate(round.packed(updates), strategy) }
      #expect(try round.bytes() == expected)
    }
  }

  @Test("Weights whose sum leaves the range of a double are shares all the same")
  func largestWeights() throws {
    let round = try Round()
    try round.base(tensor("w", [0, 0]))
    let largest = Double.greatestFiniteMagnitude
    let updates = [
      try round.update("a", weight: largest, tensor("w", [1, 2])), try round.update("b", weight: largest, tensor("w", [5, -6])),
    ]
    try round.aggregate(updates)
    #expect(try round.floats("w") == [3, -2])
  }

  /// Results of `Python/mean.py` with NumPy 2.4 in float64: elements 0, 1, 8191, 8192, 12345, 19999, and the sum of all magnitudes.
  private static let recorded: [(strategy: String, dtype: DType, elements: [Double], sum: Double)] = [
    (
      "mean", .f64,
      [-1.5439189189189186, -1.4489020270270268, 0.5261824324324325, 0.6211993243243243, 0.247606981981982, 0.33474099099099097],
      11507.341638513513
    ),
    (
      "mean", .f32,
      [-1.5439189672470093, -1.4489020109176636, 0.5261824131011963, 0.6211993098258972, 0.24760697782039642, 0.3347409963607788],
      11507.341662973631
    ),
    ("mean", .f16, [-1.5439453125, -1.44921875, 0.5263671875, 0.62109375, 0.24755859375, 0.334716796875], 11507.42446899414),
    ("mean", .bf16, [-1.546875, -1.4453125, 0.52734375, 0.62109375, 0.248046875, 0.333984375], 11507.42984008789),
    ("uniform", .f64, [-1.5546875, -1.4609375, 0.60546875, 0.69921875, 0.796875, -0.32421875], 8624.22265625),
    ("uniform", .f32, [-1.5546875, -1.4609375, 0.60546875, 0.69921875, 0.796875, -0.32421875], 8624.22265625),
    ("uniform", .f16, [-1.5546875, -1.4609375, 0.60546875, 0.69921875, 0.796875, -0.32421875], 8624.22265625),
    ("uniform", .bf16, [-1.5546875, -1.4609375, 0.60546875, 0.69921875, 0.796875, -0.32421875], 8624.22265625),
  ]

  /// The updates of `mean.py`, whose numbers are exact in every dtype.
  private func updates(_ round: Round, _ dtype: DType) throws -> [StoredUpdate] {
    let weights = [12, 7, 31, 5.5]
    return try (0..<4).map { i in
      let values = (0..<20_000).map { k in Float((k * (2 * i + 3) + 17 * i) % 251 - 125) / 64 }
      return try round.update("region/device-\(i)", weight: weights[i], tensor("fc.weight", values, dtype))
    }
  }

  private func doubles(_ path: String, _ name: String) throws -> [Double] {
    let tensor = try SafetensorsFile(path: path).tensor(named: name)
    if tensor.dtype != .f64 { return try tensor.floats().map(Double.init) }
    return tensor.data.withUnsafeBytes { Array($0.bindMemory(to: Double.self)) }
  }

  @Test("Means agree with NumPy's in Float64, in every dtype of the model, whatever dtype the updates travel in")
  func numpy() throws {
    for (strategy, dtype, elements, sum) in Self.recorded {
      for travelling in [dtype, .f32] {
        let round = try Round()
        try round.base(tensor("fc.weight", (0..<20_000).map { Float(($0 * 5) % 127 - 63) / 32 }, dtype))
        try round.aggregate(updates(round, travelling), Strategy(named: strategy))
        let result = try doubles(round.output, "fc.weight")
        for (index, expected) in zip([0, 1, 8191, 8192, 12345, 19999], elements) {
          #expect(abs(result[index] - expected) <= (dtype == .f64 ? 1e-15 : 0), "\(strategy) \(dtype) element \(index)")
        }
        #expect(abs(result.reduce(0) { $0 + $1.magnitude } - sum) < (dtype.byteSize == 2 ? 1e-2 : 1e-8), "\(strategy) \(dtype)")
        #expect(try SafetensorsFile(path: round.output).schema == SafetensorsFile(path: round.base).schema)
      }
    }
  }

  @Test("The same updates give the same bytes, in whatever order they come")
  func order() throws {
    let round = try Round()
    try round.base(tensor("fc.weight", [Float](repeating: 0.1, count: 20_000)))
    let updates = try updates(round, .f32)
    let metadata = ["muster.task": "digits", "muster.round": "3"]
    try round.aggregate(updates, metadata: metadata)
    let first = try round.bytes()
    for shuffled in [updates.reversed(), [updates[2], updates[0], updates[3], updates[1]]] {
      let result = try round.aggregate(shuffled, metadata: metadata)
      #expect(try round.bytes() == first)
      #expect(result.accepted == updates.map(\.path))
    }
    #expect(try SafetensorsFile(path: round.output).metadata == metadata)
  }

  @Test("Differences count like the parameters that they lead to, also side by side")
  func deltas() throws {
    let round = try Round()
    try round.base(tensor("w", [1, -2, 0.5]))
    let updates = [
      try round.update("a", weight: 2, content: "delta", tensor("w", [0.5, 1, -1])),
      try round.update("b", weight: 2, content: "parameters", tensor("w", [3, -2, 0])),
    ]
    try round.aggregate(updates)
    #expect(try round.floats("w") == [2.25, -1.5, -0.25])
  }

  @Test("Integer tensors and layers that did not travel stay as they are in the base")
  func kept() throws {
    let round = try Round()
    let steps = try Tensor(name: "bn.steps", dtype: .i64, shape: [1], data: [9, 0, 0, 0, 0, 0, 0, 0])
    let other = try Tensor(name: "bn.steps", dtype: .i64, shape: [1], data: [1, 1, 1, 1, 1, 1, 1, 1])
    try round.base(tensor("body", [0, 0]), tensor("head", [7, 8]), steps, tensor("empty", []))
    let updates = [
      try round.update("a", tensor("body", [1, 2]), other, tensor("empty", [])),
      try round.update("b", tensor("body", [3, 4]), other, tensor("empty", [])),
    ]
    try round.aggregate(updates)
    #expect(try round.floats("body") == [2, 3])
    #expect(try round.floats("head") == [7, 8])
    #expect(try SafetensorsFile(path: round.output).tensor(named: "bn.steps") == steps)
  }

  @Test("A mean of regions' means is the flat mean")
  func hierarchy() throws {
    let round = try Round()
    try round.base(tensor("fc.weight", [Float](repeating: 0, count: 20_000), .f64))
    let devices = try updates(round, .f64)
    try round.aggregate(devices)
    let flat = try doubles(round.output, "fc.weight")
    var regions: [StoredUpdate] = []
    for (name, members) in [("north", devices[0..<3]), ("south", devices[3..<4])] {
      let file = round.folder.file(name)
      let result = try aggregate(
        base: round.base, updates: Array(members), strategy: Strategy(named: "fedavg"), output: file)
      regions.append(StoredUpdate(path: name, file: file, weight: result.weight))
    }
    try round.aggregate(regions)
    for (one, other) in zip(flat, try doubles(round.output, "fc.weight")) { #expect(abs(one - other) < 1e-14) }
  }

  @Test("Hundreds of updates are folded like a few")
  func many() throws {
    let round = try Round()
    try round.base(tensor("w", [0, 0]))
    let updates = try (0..<500).map { try round.update("d\($0)", weight: Double($0 + 1), tensor("w", [Float($0), 1])) }
    let result = try round.aggregate(updates)
    // Σ (i + 1) i = 499 · 500 · 501 / 3, Σ (i + 1) = 500 · 501 / 2.
    #expect(try round.floats("w") == [Float(499.0 * 2 / 3), 1])
    #expect(result.accepted.count == 500)
  }
}
