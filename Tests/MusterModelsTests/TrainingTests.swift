import MusterModels
import Testing

@Suite struct TrainingTests {
  @Test(
    "LeNet-5 has the parameters of PyTorch's definition",
    arguments: [([1, 8, 8], 19_754), ([1, 28, 28], 61_706), ([3, 32, 32], 62_006)])
  func sizes(input: [Int], count: Int) throws {
    let architecture = try ModelArchitecture(type: "lenet5", input: input, classes: 10)
    #expect(architecture.parameterCount == count)
    let names = ["conv1", "conv2", "fc1", "fc2", "fc3"].flatMap { ["\($0).weight", "\($0).bias"] }
    #expect(architecture.parameters.map(\.name) == names)
    #expect(architecture.parameters[2].shape == [16, 6, input[1] == 8 ? 3 : 5, input[1] == 8 ? 3 : 5])
    #expect(architecture.parameters[8].shape == [10, 84])
  }

  @Test("Initial weights fill ±√(6 / fan-in), biases are 0, and the seed decides")
  func initialization() throws {
    let architecture = try ModelArchitecture(type: "lenet5", input: [1, 8, 8], classes: 10)
    let values: [Float] = architecture.initialParameters(seed: 1)
    #expect(values == architecture.initialParameters(seed: 1))
    #expect(values != architecture.initialParameters(seed: 2))
    for slot in architecture.parameters {
      let part = values[slot.offset..<slot.offset + slot.count]
      if slot.name.hasSuffix("bias") {
        #expect(part.allSatisfy { $0 == 0 })
      } else {
        let bound = (6 / Float(slot.shape.dropFirst().reduce(1, *))).squareRoot()
        #expect(part.allSatisfy { abs($0) <= bound })
        #expect(part.max() ?? 0 > 0.8 * bound && part.min() ?? 0 < -0.8 * bound)
      }
    }
  }

  @Test(
    "The built-in models learn the digits",
    arguments: [("softmax", nil, 0.93), ("mlp", [32], 0.95), ("lenet5", nil, 0.96)] as [(String, [Int]?, Double)])
  func learns(type: String, hidden: [Int]?, accuracy: Double) throws {
    let architecture = try ModelArchitecture(type: type, input: [1, 8, 8], classes: 10, hidden: hidden)
    let training = try LocalTrainer<Float>(architecture, data: try Digits.training.load(), batch: 8)
    training.network.load(architecture.initialParameters(seed: 1))
    let score = try #require(
      try training.train(TrainingSettings(epochs: 10, batch: 8, rate: 0.1), order: SplitMix64(seed: 1)))
    #expect(score.samples == 1437)
    let test = try LocalTrainer<Float>(architecture, data: try Digits.test.load(), batch: 64)
    test.network.load(training.network.currentParameters())
    let result = try #require(try test.evaluate())
    #expect(result.samples == 360)
    #expect(result.accuracy >= accuracy)
    #expect(abs(result.recall - result.accuracy) < 0.03)
  }

  @Test("The same seed gives the same bits, another seed another result")
  func deterministic() throws {
    let architecture = try ModelArchitecture(type: "lenet5", input: [1, 8, 8], classes: 10)
    let data = try Digits.training.load()
    func result(seed: UInt64) throws -> [Float] {
      let trainer = try LocalTrainer<Float>(architecture, data: data, batch: 32)
      trainer.network.load(architecture.initialParameters(seed: 1))
      try trainer.train(TrainingSettings(epochs: 2, batch: 32, rate: 0.1, momentum: 0.5), order: SplitMix64(seed: seed))
      return trainer.network.currentParameters()
    }
    let first = try result(seed: 7)
    #expect(try result(seed: 7) == first)
    #expect(try result(seed: 8) != first)
  }

  @Test("The proximal term keeps the result near the base")
  func proximal() throws {
    let architecture = try ModelArchitecture(type: "mlp", input: [1, 8, 8], classes: 10, hidden: [16])
    let data = try Digits.training.load()
    let base: [Float] = architecture.initialParameters(seed: 1)
    func distance(_ proximal: Double) throws -> Float {
      let trainer = try LocalTrainer<Float>(architecture, data: data, batch: 16)
      trainer.network.load(base)
      try trainer.train(TrainingSettings(epochs: 2, batch: 16, rate: 0.1, proximal: proximal), order: SplitMix64(seed: 1))
      return zip(trainer.network.currentParameters(), base).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
    }
    let (free, held) = (try distance(0), try distance(1))
    #expect(held < free / 2)
  }

  @Test("Progress grows to 1, and what it throws ends the training")
  func progress() throws {
    struct Stopped: Error {}
    let architecture = try ModelArchitecture(type: "softmax", input: [1, 8, 8], classes: 10)
    let trainer = try LocalTrainer<Float>(architecture, data: try Digits.test.load(), batch: 50)
    var seen: [TrainingProgress] = []
    try trainer.train(TrainingSettings(epochs: 2, batch: 50, rate: 0.1), order: SplitMix64(seed: 1)) { seen.append($0) }
    #expect(seen.count == 16)
    #expect(seen.map(\.fraction) == seen.map(\.fraction).sorted())
    #expect(seen.last?.fraction == 1 && seen.last?.epoch == 2)
    #expect(throws: Stopped.self) {
      try trainer.train(TrainingSettings(epochs: 2, batch: 50, rate: 0.1), order: SplitMix64(seed: 1)) { _ in throw Stopped() }
    }
  }

  @Test("A rate that is too high is named as the reason")
  func divergence() throws {
    let architecture = try ModelArchitecture(type: "softmax", input: [1, 8, 8], classes: 10)
    let trainer = try LocalTrainer<Float>(architecture, data: try Digits.training.load(), batch: 8)
    trainer.network.load(architecture.initialParameters(seed: 1))
    let error = #expect(throws: ModelError.self) {
      try trainer.train(TrainingSettings(epochs: 2, batch: 8, rate: 1e38), order: SplitMix64(seed: 1))
    }
    #expect("\(try #require(error))".contains("lower the rate"))
  }

  @Test("Models that make no sense are refused with the reason")
  func refusals() {
    func message(_ type: String, _ input: [Int]?, _ classes: Int?, _ hidden: [Int]? = nil) -> String {
      do {
        _ = try ModelArchitecture(type: type, input: input, classes: classes, hidden: hidden)
        return "accepted"
      } catch {
        return "\(error)"
      }
    }
    #expect(message("resnet", [1, 8, 8], 10).contains("unknown type \"resnet\""))
    #expect(message("lenet5", [1, 9, 9], 10).contains("8×8, 28×28 or 32×32"))
    #expect(message("lenet5", nil, 10).contains("`input` is missing"))
    #expect(message("softmax", [4], nil).contains("`classes`"))
    #expect(message("softmax", [0], 3).contains("input"))
    #expect(message("mlp", [4], 3).contains("`hidden`"))
    #expect(message("softmax", [4], 3, [5]).contains("is only for mlp"))
    #expect(message("mlp", [1_000_000], 3, [1_000_000]).contains("parameters"))
  }
}
