import FoundationEssentials
import MusterAggregation
import MusterSchema
import MusterTensors
import TestSupport
import Testing

@Suite("What does not fit is refused, and the rest counts")
struct RefusalTests {
  private func reasons(_ result: AggregationResult) -> [String: String] {
    Dictionary(result.refused.map { ($0.path, $0.reason) }) { first, _ in first }
  }

  @Test("Updates with a number that is none are refused by name, wherever it is, and the result is as if they had never come")
  func nonFinite() throws {
    for dtype in [DType.f32, .f16, .bf16, .f64] {
      let round = try Round()
      try round.base(tensor("a", [0, 0], dtype), tensor("b", [Float](repeating: 0, count: 20_000), dtype))
      var good: [StoredUpdate] = []
      for (name, value) in [("n/1", Float(2)), ("n/3", 5)] {
        good.append(
          try round.update(
            name, weight: Double(value), tensor("a", [value, 1], dtype), tensor("b", [Float](repeating: value, count: 20_000), dtype)))
      }
      try round.aggregate(good)
      let expected = try round.bytes()
      var late = [Float](repeating: 1, count: 20_000)
      late[19_999] = .nan
      var middle = [Float](repeating: 1, count: 20_000)
      middle[8_192] = -.infinity
      let bad = [
        try round.update("n/2", tensor("a", [1, 1], dtype), tensor("b", late, dtype)),
        try round.update("n/0", tensor("a", [1, 1], dtype), tensor("b", middle, dtype)),
        try round.update("n/4", content: "delta", tensor("a", [.infinity, 1], dtype), tensor("b", late, dtype)),
      ]
      let result = try round.aggregate(bad + good)
      #expect(try round.bytes() == expected)
      #expect(result.accepted == ["n/1", "n/3"])
      #expect(result.refused.map(\.path) == ["n/0", "n/2", "n/4"])
      #expect(result.refused[0].reason == "tensor \"b\" holds an infinity or a NaN")
      #expect(result.weight == 7)
    }
  }

  @Test("Updates that drive the model out of its dtype's range are refused")
  func range() throws {
    let round = try Round()
    try round.base(tensor("w", [60000, 1], .f16))
    let updates = [
      try round.update("a", tensor("w", [100, 3], .f16)), try round.update("b", content: "delta", tensor("w", [60000, 1], .f16)),
      try round.update("c", tensor("w", [1e6, 1], .f32)), try round.update("d", content: "delta", tensor("w", [-60000, 0], .f16)),
    ]
    let result = try round.aggregate(updates)
    #expect(try round.floats("w") == [50, 2])
    #expect(result.accepted == ["a", "d"])
    #expect(reasons(result)["b"] == "tensor \"w\" exceeds the range of the base's F16")
    #expect(reasons(result)["c"] == reasons(result)["b"])
  }

  @Test("Updates of another model, in another form or with a senseless weight are refused")
  func unfit() throws {
    let round = try Round()
    let steps = try Tensor(name: "steps", dtype: .i64, shape: [], data: [UInt8](repeating: 0, count: 8))
    try round.base(tensor("w", [0, 0]), tensor("b", [0]), steps)
    let short = try round.update("short", tensor("w", [1, 1]), tensor("b", [1]))
    let whole = try Data(contentsOf: URL(filePath: short.file))
    try whole.dropLast(3).write(to: URL(filePath: short.file))
    let garbage = StoredUpdate(path: "garbage", file: try round.folder.write("no tensors, but words", to: "garbage"), weight: 1)
    let updates = [
      try round.update("good", tensor("w", [1, 2]), tensor("b", [3])), try round.update("shape", tensor("w", [1]), tensor("b", [3])),
      try round.update("dtype", Tensor(name: "w", dtype: .i32, shape: [2], data: [UInt8](repeating: 0, count: 8)), tensor("b", [3])),
      try round.update("more", tensor("w", [1, 2]), tensor("b", [3]), tensor("x", [3])), try round.update("integers", steps),
      try round.update("content", content: "sum", tensor("w", [1, 2]), tensor("b", [3])),
      try round.update("zero", weight: 0, tensor("w", [1, 2]), tensor("b", [3])),
      try round.update("negative", weight: -1, tensor("w", [1, 2]), tensor("b", [3])),
      try round.update("endless", weight: .infinity, tensor("w", [1, 2]), tensor("b", [3])),
      try round.update("none", weight: .nan, tensor("w", [1, 2]), tensor("b", [3])),
      StoredUpdate(path: "missing", file: round.folder.file("nowhere"), weight: 1), short, garbage,
    ]
    let result = try round.aggregate(updates)
    #expect(try round.floats("w") == [1, 2])
    #expect(result.accepted == ["good"])
    let reasons = reasons(result)
    #expect(reasons.count == updates.count - 1)
    #expect(reasons["shape"] == "wrong shape of \"w\": expected [2], got [1]")
    #expect(reasons["dtype"] == "wrong dtype of \"w\": expected F32, got I32")
    #expect(reasons["more"] == "unknown tensor \"x\"")
    #expect(reasons["integers"] == "it holds no floating-point tensor")
    #expect(reasons["content"] == "its muster.content is \"sum\"; known values: parameters, delta")
    #expect(reasons["zero"] == "its weight is 0.0: it must be a positive number")
    #expect(reasons["missing"]?.contains("No such file or directory") == true)
    #expect(reasons["short"]?.contains("truncated") == true)
    #expect(reasons["garbage"]?.contains("not a safetensors file") == true)
  }

  @Test("Updates must hold the same tensors: those of most, or those that are asked for")
  func names() throws {
    let round = try Round()
    try round.base(tensor("body", [0]), tensor("head", [9]))
    let updates = [
      try round.update("a", tensor("head", [1])), try round.update("b", tensor("body", [2])), try round.update("c", tensor("body", [4])),
      try round.update("d", tensor("body", [1]), tensor("head", [1])),
    ]
    let result = try round.aggregate(updates)
    #expect(result.accepted == ["b", "c"])
    #expect(reasons(result) == ["a": "missing tensor \"body\"", "d": "tensor \"head\" is not one of the shared tensors"])
    #expect(try round.floats("body") == [3] && round.floats("head") == [9])
    let asked = try round.aggregate(updates, names: ["body", "head"])
    #expect(asked.accepted == ["d"])
  }

  @Test("Without one good update there is no model, and the one that was there stays")
  func nothing() throws {
    let round = try Round()
    try round.base(tensor("w", [1]))
    let update = try round.update("a", tensor("w", [3]))
    try round.aggregate([update])
    let before = try round.bytes()
    let refusal = Refusal(path: "b", reason: "tensor \"w\" holds an infinity or a NaN")
    #expect(throws: AggregationError.nothingAccepted([refusal])) { try round.aggregate([round.update("b", tensor("w", [.nan]))]) }
    #expect(throws: AggregationError.nothingAccepted([])) { try round.aggregate([]) }
    // Only refused updates are a reason to ask other devices.
    #expect(AggregationError.nothingAccepted([refusal]).refusals == [refusal])
    #expect(AggregationError.tooFewUpdates("krum needs 5", [refusal]).refusals == [refusal])
    #expect(AggregationError.nothingAccepted([]).refusals == nil && AggregationError.weightsOverflow.refusals == nil)
    #expect(throws: AggregationError.duplicatePath("a")) { try round.aggregate([update, update]) }
    try round.base(tensor("w", [.nan]))
    #expect(throws: AggregationError.notFinite(tensor: "w")) { try round.aggregate([update]) }
    #expect(try round.bytes() == before)
    let entries = try FileManager.default.contentsOfDirectory(atPath: round.folder.path).sorted()
    #expect(entries == ["a", "b", "base.safetensors", "next.safetensors"])
  }

  @Test("A base that cannot be read and an output that cannot be written are said")
  func files() throws {
    let round = try Round()
    let missing = #expect(throws: AggregationError.self) { try round.aggregate([]) }
    #expect("\(missing.map(String.init(describing:)) ?? "")".contains("base.safetensors"))
    try round.base(tensor("w", [1]))
    let update = try round.update("a", tensor("w", [3]))
    let error = #expect(throws: AggregationError.self) {
      try aggregate(
        base: round.base, updates: [update], strategy: Strategy(named: "mean"), output: round.folder.file("no/where"))
    }
    if case .output = error {} else { Issue.record("\(String(describing: error))") }
  }

  private func composed(_ combiner: Component, _ optimizer: Component = .init("replace"), filters: [Component] = []) throws -> Strategy {
    try Strategy(.composed(filters: filters, combiner: combiner, optimizer: optimizer))
  }

  private typealias Component = StrategySpecification.Component

  @Test("Unknown strategies are refused with the known ones")
  func strategies() throws {
    let unknown = #expect(throws: AggregationError.self) { try Strategy(named: "fedsgd") }
    #expect(
      "\(unknown.map(String.init(describing:)) ?? "")".hasPrefix(
        "unknown strategy \"fedsgd\"; known strategies: bulyan, fedadagrad, fedadam, "))
    let combiners = [
      "bulyan", "geometricMedian", "krum", "mean", "median", "multiKrum", "qFedAvg", "trimmedMean", "uniform",
    ]
    #expect(throws: AggregationError.unknownComponent(kind: "combiner", name: "mode", known: combiners)) { try composed(.init("mode")) }
    #expect(throws: AggregationError.unknownComponent(kind: "filter", name: "median", known: ["clip", "outliers"])) {
      try composed(.init("mean"), filters: [.init("median")])
    }
    let optimizers = ["adagrad", "adam", "momentum", "replace", "yogi"]
    #expect(throws: AggregationError.unknownComponent(kind: "optimizer", name: "sgd", known: optimizers)) {
      try composed(.init("mean"), .init("sgd"))
    }
    let uniform = try composed(.init("uniform"))
    #expect((uniform.combiner as? Mean)?.weighting == .uniform)
  }

  @Test("Parameters that a step does not have, needs, or cannot work with are refused")
  func parameters() throws {
    #expect(throws: AggregationError.unknownParameter(component: "mean", parameter: "beta", known: [])) {
      try composed(.init("mean", ["beta": 1]))
    }
    #expect(throws: AggregationError.unknownParameter(component: "krum", parameter: "m", known: ["f"])) {
      try composed(.init("krum", ["f": 1, "m": 2]))
    }
    #expect(throws: AggregationError.missingParameter(component: "clip", parameter: "norm")) {
      try composed(.init("mean"), filters: [.init("clip")])
    }
    for (component, value) in [("trimmedMean", 0.5), ("trimmedMean", -0.1), ("krum", 0.5), ("krum", -1), ("krum", .nan), ("qFedAvg", -1)] {
      #expect(throws: AggregationError.self, "\(component) \(value)") { try composed(.init(component, ["value": value])) }
    }
    for (parameter, value) in [("beta1", 1.0), ("beta2", -0.1), ("tau", 0), ("rate", .infinity)] {
      #expect(throws: AggregationError.self, "\(parameter) \(value)") { try composed(.init("mean"), .init("adam", [parameter: value])) }
    }
    #expect((try composed(.init("trimmedMean", ["value": 0.2])).combiner as? TrimmedMean)?.beta == 0.2)
  }

  @Test("q-FedAvg takes the learning rate of the task's devices, unless the strategy names one")
  func learningRate() throws {
    func rate(_ parameters: [String: Double], local: Double?) throws -> Double? {
      let specification = StrategySpecification.composed(
        filters: [], combiner: .init("qFedAvg", parameters), optimizer: .init("replace"))
      return (try Strategy(specification, localRate: local).combiner as? QFedAvg)?.rate
    }
    #expect(try rate([:], local: 0.03) == 0.03)
    #expect(try rate(["rate": 0.5], local: 0.03) == 0.5)
    #expect(try rate([:], local: nil) == 0.1)
    #expect((try Strategy(named: "qfedavg", localRate: 0.03).combiner as? QFedAvg)?.rate == 0.03)
    // A learning rate of 0 has no L = 1/η.
    #expect(throws: AggregationError.self) { try rate([:], local: 0) }
  }

  @Test("Names are known in every spelling")
  func spellings() throws {
    for name in ["multikrum", "multiKrum", "multi-krum", "multi_krum", "MultiKrum"] {
      #expect((try Strategy(named: name).combiner as? Krum)?.m == nil)
      #expect(try composed(.init(name)).combiner is Krum)
    }
    for name in ["trimmedmean", "geometricmedian", "qfedavg", "fedAdam", "FedAvgM"] { _ = try Strategy(named: name) }
  }

  @Test("What a rule needs is said before a task runs, and again where a round has too few")
  func constraints() throws {
    func problem(_ combiner: Component, _ cohort: Int) throws -> String? { try composed(combiner).problems(minimumCohort: cohort).first }
    #expect(try problem(.init("krum", ["f": 2]), 7) == nil)
    #expect(
      try problem(.init("krum", ["f": 2]), 6)
        == "krum with f = 2 needs at least 7 updates (n ≥ 2f + 3), not 6; the task's smallest cohort is 6")
    #expect(try problem(.init("multiKrum", ["f": 1, "m": 5]), 6) == nil)
    #expect(try problem(.init("multiKrum", ["f": 1, "m": 5]), 5)?.contains("at most 4 (m ≤ n − f)") == true)
    #expect(try problem(.init("bulyan", ["f": 1]), 7) == nil)
    #expect(try problem(.init("bulyan", ["f": 1]), 6)?.contains("n ≥ 4f + 3") == true)
    #expect(try problem(.init("trimmedMean", ["beta": 0.49]), 100) == nil)
    #expect(try problem(.init("median"), 1) == nil)
    // No task file can have these, but a package that calls the rules can.
    let wrong: [any Combiner] = [
      Krum(f: -1), Krum(f: .max), Krum(f: 0, choosing: 0), Bulyan(f: -1), Bulyan(f: .max), TrimmedMean(beta: -0.1), TrimmedMean(beta: 0.5),
      TrimmedMean(beta: .nan),
    ]
    for combiner in wrong { #expect(combiner.problem(updates: 10)?.isEmpty == false, "\(combiner)") }
    let round = try Round()
    try round.base(tensor("w", [0]))
    let updates = try (0..<5).map { try round.update("n/\($0)", tensor("w", [$0 == 2 ? .nan : Float($0)])) }
    let negative = Strategy(filters: [], combiner: Bulyan(f: -1), optimizer: Replace())
    #expect(throws: AggregationError.self) { try round.aggregate(updates, negative) }
    let few = #expect(throws: AggregationError.self) { try round.aggregate(updates, Strategy(named: "krum")) }
    let text = "\(few.map(String.init(describing:)) ?? "")"
    #expect(text.hasPrefix("krum with f = 1 needs at least 5 updates (n ≥ 2f + 3), not 4; 1 refused: n/2: tensor \"w\" holds"))
  }
}
