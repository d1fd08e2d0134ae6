import MusterModels
import Testing

@Suite struct PyTorchTests {
  /// Recorded with PyTorch 2.15.0 on x86-64 by
  /// `python3 examples/digits/compare_pytorch.py --muster-train .build/debug/muster-train --record`:
  /// LeNet-5 (8×8) from the initial model of seed 1, read from its safetensors file; all 1,437 training digits in the order of
  /// `SplitMix64(1, 1)`; one epoch of SGD with batch 8 and rate 0.1.
  static let before = 2.6623103618621826
  static let after = 0.9374560117721558
  /// The epoch's mean loss so far, after every 18th batch.
  static let curve = [2.312543, 2.132792, 2.033849, 1.851584, 1.723739, 1.572738, 1.519077, 1.434785, 1.362731, 1.293923]

  @Test("LeNet-5 from the same model, in the same order, has PyTorch's losses to 1e-3")
  func curve() throws {
    let architecture = try ModelArchitecture(type: "lenet5", input: [1, 8, 8], classes: 10)
    let trainer = try LocalTrainer<Float>(architecture, data: try Digits.training.load(), batch: 8)
    trainer.network.load(architecture.initialParameters(seed: 1))
    let before = try #require(try trainer.evaluate()).loss
    var losses: [Double] = []
    try trainer.train(TrainingSettings(epochs: 1, batch: 8, rate: 0.1), order: SplitMix64(1, 1)) { losses.append($0.loss) }
    let after = try #require(try trainer.evaluate()).loss

    #expect(abs(before - Self.before) < 1e-3)
    #expect(abs(after - Self.after) < 1e-3)
    #expect(losses.count == 180)
    for (index, recorded) in Self.curve.enumerated() {
      #expect(abs(losses[18 * index + 17] - recorded) < 1e-3, "batch \(18 * index + 18)")
    }
  }
}
