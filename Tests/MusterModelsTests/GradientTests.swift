import MusterModels
import Testing

@Suite struct GradientTests {
  struct Model: Sendable, CustomTestStringConvertible {
    var type: String
    var input: [Int]
    var hidden: [Int]?
    var testDescription: String { "\(type) \(input)" }
  }

  static let models = [
    Model(type: "softmax", input: [1, 4, 5]), Model(type: "mlp", input: [12], hidden: [9, 7]), Model(type: "lenet5", input: [1, 8, 8]),
    Model(type: "lenet5", input: [2, 8, 8]), Model(type: "lenet5", input: [1, 28, 28]), Model(type: "lenet5", input: [3, 32, 32]),
  ]

  @Test("Gradients equal finite differences of the loss in Float64", arguments: models)
  func gradients(model: Model) throws {
    let architecture = try ModelArchitecture(type: model.type, input: model.input, classes: 3, hidden: model.hidden)
    let data = noise(architecture.input, classes: 3, count: 5, seed: 2)
    let trainer = try LocalTrainer<Double>(architecture, data: data, batch: 5)
    let start: [Double] = architecture.initialParameters(seed: 4)
    trainer.network.load(start)
    // A rate of 0 computes the gradient of the single batch and leaves the parameters unchanged.
    try trainer.train(TrainingSettings(epochs: 1, batch: 5, rate: 0), order: SplitMix64(seed: 1))
    let gradient = trainer.network.currentGradient()

    func loss(_ index: Int, _ change: Double) throws -> Double {
      var moved = start
      moved[index] += change
      trainer.network.load(moved)
      return try #require(try trainer.evaluate()).loss
    }
    var generator = SplitMix64(seed: 9)
    for slot in architecture.parameters {
      for _ in 0..<min(12, slot.count) {
        let index = slot.offset + generator.below(slot.count)
        let difference = (try loss(index, 1e-6) - loss(index, -1e-6)) / 2e-6
        let scale = max(1e-3, abs(difference), abs(gradient[index]))
        #expect(abs(gradient[index] - difference) / scale < 1e-5, "\(slot.name)[\(index - slot.offset)]")
      }
    }
  }

  @Test("One step is PyTorch's SGD with momentum, weight decay and the proximal term")
  func optimizer() throws {
    let architecture = try ModelArchitecture(type: "softmax", input: [4], classes: 3)
    let data = noise(architecture.input, classes: 3, count: 6, seed: 5)
    let trainer = try LocalTrainer<Double>(architecture, data: data, batch: 6)
    let base: [Double] = architecture.initialParameters(seed: 4)
    let (rate, momentum, decay, proximal) = (0.3, 0.9, 0.01, 0.5)

    // The same three steps written out, each with the gradient computed separately.
    var expected = base
    var velocity = [Double](repeating: 0, count: base.count)
    for _ in 0..<3 {
      trainer.network.load(expected)
      try trainer.train(TrainingSettings(epochs: 1, batch: 6, rate: 0), order: SplitMix64(seed: 1))
      for (index, slope) in trainer.network.currentGradient().enumerated() {
        velocity[index] = momentum * velocity[index] + slope + decay * expected[index] + proximal * (expected[index] - base[index])
      }
      for index in expected.indices { expected[index] -= rate * velocity[index] }
    }

    trainer.network.load(base)
    let settings = TrainingSettings(epochs: 3, batch: 6, rate: rate, momentum: momentum, weightDecay: decay, proximal: proximal)
    try trainer.train(settings, order: SplitMix64(seed: 1))
    for (got, wanted) in zip(trainer.network.currentParameters(), expected) { #expect(abs(got - wanted) < 1e-12) }
  }
}
