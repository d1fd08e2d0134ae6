import MusterAggregation
import MusterSchema
import MusterTensors
import TestSupport
import Testing

@Suite("The rules, by NumPy's numbers")
struct RuleTests {
  private typealias Vector = (step: String, elements: [Double], sum: Double)

  /// Results of `Python/vectors.py` with NumPy in float64: elements 0, 1, 77, 150, 298, 299, and the sum of all magnitudes.
  private static let combiners: [Vector] = [
    (
      #""mean""#,
      [-1.2556652046783627, -1.1267361111111112, 0.002467105263157743, 0.033899853801169666, -0.35635964912280693, -0.22743055555555536],
      123.20650584795321
    ),
    (
      #""uniform""#,
      [-1.15625, -1.015625, 0.1473214285714286, -0.2321428571428572, -0.1495535714285714, -0.008928571428571397],
      87.91741071428571
    ),
    (
      #""median""#,
      [-1.15625, -1.015625, 0.40625, -0.5, -0.203125, -0.09375],
      116.171875
    ),
    (
      #"{"trimmedMean": 0.3}"#,
      [-1.15625, -1.015625, 0.10416666666666674, -0.29166666666666674, -0.203125, -0.09375],
      101.60416666666667
    ),
    (
      #"{"krum": 2}"#,
      [-1.953125, -1.90625, 1.65625, 1.15625, 0.25, 0.296875],
      288.859375
    ),
    (
      #"{"multiKrum": 1}"#,
      [-1.2005208333333335, -1.0651041666666665, 0.07552083333333326, -0.4973958333333335, -0.06510416666666674, 0.0703125],
      104.7578125
    ),
    (
      #"{"multiKrum": {"f": 2, "m": 3}}"#,
      [-1.6875, -1.609375, 0.40625, -0.4270833333333335, -0.6302083333333333, -0.5520833333333333],
      158.70833333333334
    ),
    (
      #"{"bulyan": 1}"#,
      [-1.421875, -1.3125, 0.8802083333333335, 0.26041666666666674, -0.203125, -0.09375],
      150.94791666666669
    ),
    (
      #""geometricMedian""#,
      [-1.3028964569227561, -1.1795239812666098, -0.22760311129938748, -0.15665903598973685, -0.3141853462439608, -0.1908128705878145],
      162.76061328281708
    ),
    (
      #"{"qFedAvg": {"q": 1, "rate": 0.5}}"#,
      [-1.9673085422251022, -1.8110376515327122, -1.8416355634916872, 1.6223976166051535, 0.9361182299176445, 1.0923891206100342],
      294.5818178182288
    ),
  ]

  /// Results of the filters, followed by the uniform mean.
  private static let filters: [Vector] = [
    (
      #"{"clip": 10}"#,
      [-1.6719239370918455, -1.5215022911348917, -1.116259884161705, 0.9413706652962684, 0.5395898523460743, 0.6900114983030279],
      193.1096079202174
    ),
    (
      #"{"outliers": 0.5}"#,
      [-1.8203125, -1.7578125, 1.03125, -0.2890625, -0.84375, -0.78125],
      203.9921875
    ),
  ]

  /// Results after two steps: the first by the uniform mean's difference, the second by half of it.
  private static let optimizers: [Vector] = [
    (
      #""replace""#,
      [-0.75, -0.6171875, 1.1428571428571428, -1.1607142857142858, -0.6930803571428571, -0.5602678571428571],
      188.9140625
    ),
    (
      #""momentum""#,
      [-0.018749999999999822, 0.10000000000000009, 2.9348214285714285, -2.8321428571428573, -1.6714285714285715, -1.5526785714285714],
      450.0991071428572
    ),
    (
      #""adagrad""#,
      [-1.8242007427139444, -1.667954113166156, -1.6990989201186768, 1.480353985718665, 0.7929073141524902, 0.9491554924431533],
      259.92669210192923
    ),
    (
      #""yogi""#,
      [-1.9464859450931484, -1.7902409432418147, -1.8213339921150187, 1.6025915957256571, 0.915171362559512, 1.071418646137597],
      289.3975207337113
    ),
    (
      #""adam""#,
      [-1.9464366481613506, -1.7901916673948748, -1.8212840522405984, 1.6025416881120658, 0.9151217928214653, 1.0713690649102308],
      289.38518879513754
    ),
  ]

  private static let weights = [12, 7, 31, 5.5, 20, 1, 9]
  private static let base = (0..<300).map { Float(($0 * 5) % 127 - 63) / 32 }

  private func contributions(_ round: Round, deltasTimes factor: Float? = nil) throws -> [StoredUpdate] {
    try (0..<7).map { i in
      var values = (0..<300).map { k in Float((k * (2 * i + 3) + 17 * i) % 251 - 125) / 64 }
      if let factor { for k in values.indices { values[k] = (values[k] - Self.base[k]) * factor } }
      // The loss before training, which q-FedAvg needs.
      let metadata = [
        "muster.metrics": "{\"initialLoss\":\(0.5 * Float(i + 1))}", "muster.content": factor == nil ? "parameters" : "delta",
      ]
      // Split into two tensors, because norms and distances cover all tensors together.
      let tensors = [try tensor("a", Array(values[..<100])), try tensor("b", Array(values[100...]))]
      let file = try round.folder.write(SafetensorsWriter.bytes(tensors, metadata: metadata), to: "update-\(i)")
      return StoredUpdate(path: "north/pi-\(i)", file: file, weight: Self.weights[i])
    }
  }

  private func round() throws -> Round {
    let round = try Round()
    try round.base(tensor("a", Array(Self.base[..<100]), .f64), tensor("b", Array(Self.base[100...]), .f64))
    return round
  }

  private func strategy(filters: String = "[]", combiner: String = "\"uniform\"", optimizer: String = "\"replace\"") throws -> Strategy {
    let text = "{\"filters\": \(filters), \"combiner\": \(combiner), \"optimizer\": \(optimizer)}"
    return try Strategy(JSON.decode(StrategySpecification.self, from: text.utf8))
  }

  private func expect(_ vector: Vector, in path: String) throws {
    let file = try SafetensorsFile(path: path)
    let values = try ["a", "b"].flatMap { name in
      try file.tensor(named: name).data.withUnsafeBytes { Array($0.bindMemory(to: Double.self)) }
    }
    for (index, expected) in zip([0, 1, 77, 150, 298, 299], vector.elements) {
      #expect(abs(values[index] - expected) < 1e-12, "\(vector.step) element \(index)")
    }
    #expect(abs(values.reduce(0) { $0 + $1.magnitude } - vector.sum) < 1e-9, "\(vector.step)")
  }

  @Test("Every combiner, on parameters and on differences")
  func combine() throws {
    for vector in Self.combiners {
      for factor in [nil, 1] as [Float?] {
        let round = try round()
        try round.aggregate(contributions(round, deltasTimes: factor), strategy(combiner: vector.step))
        try expect(vector, in: round.output)
      }
    }
  }

  @Test("Every filter")
  func filter() throws {
    for vector in Self.filters {
      let round = try round()
      let result = try round.aggregate(contributions(round), strategy(filters: "[\(vector.step)]"))
      try expect(vector, in: round.output)
      if vector.step.contains("outliers") {
        #expect(result.accepted.count < 7)
        #expect(result.refused.first?.reason.contains("by more than 0.5 · MAD") == true)
      }
    }
  }

  @Test("Every server optimizer, its state through a file")
  func optimize() throws {
    for vector in Self.optimizers {
      let round = try round()
      let strategy = try strategy(optimizer: vector.step)
      let (middle, state) = (round.folder.file("middle"), round.folder.file("state"))
      let first = try contributions(round, deltasTimes: 1)
      _ = try aggregate(base: round.base, updates: first, strategy: strategy, output: middle, stateOut: state)
      let second = try contributions(round, deltasTimes: 0.5)
      let remembers = !strategy.optimizer.memory.isEmpty
      _ = try aggregate(
        base: middle, updates: second, strategy: strategy, output: round.output, stateIn: remembers ? state : nil)
      try expect(vector, in: round.output)
    }
  }

  @Test("The same updates give the same bytes and the same state, in whatever order they come and however many threads work")
  func same() throws {
    let round = try Round()
    let count = 400_000
    try round.base(tensor("w", (0..<count).map { Float($0 % 1013) / 7 }))
    var stored: [StoredUpdate] = []
    for i in 0..<9 {
      let values = (0..<count).map { k in Float((k * (2 * i + 3)) % 1009) / 11 }
      stored.append(try round.update("n/\(i)", weight: Double(i + 1), tensor("w", values)))
    }
    for combiner in Self.combiners.map(\.step) where !combiner.contains("qFedAvg") {
      let strategy = try strategy(filters: "[{\"outliers\": 50}, {\"clip\": 1000}]", combiner: combiner, optimizer: "\"adam\"")
      var files: Set<[UInt8]> = []
      for threads in [1, 2, 3, 8] {
        stored.append(stored.removeFirst())
        let state = round.folder.file("state")
        _ = try aggregate(
          base: round.base, updates: stored, strategy: strategy, output: round.output, durable: false, stateOut: state,
          threads: threads)
        for path in [round.output, state] { files.insert(try SafetensorsFile(path: path).withData { Array($0) }) }
      }
      #expect(files.count == 2, "\(combiner)")
    }
  }
}
