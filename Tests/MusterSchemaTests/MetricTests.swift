import MusterSchema
import Testing

@Suite("Metrics")
struct MetricTests {
  @Test(
    "the names in common use say which way they are better, in any spelling",
    arguments: [
      ("loss", MetricMode.min), ("val_loss", .min), ("error", .min), ("mse", .min), ("RMSE", .min), ("mae", .min), ("perplexity", .min),
      ("nll", .min), ("wer", .min), ("cer", .min), ("error-rate", .min), ("accuracy", .max), ("test/accuracy", .max), ("recall", .max),
      ("precision", .max), ("f1", .max), ("auc", .max), ("map50", .max), ("mAP@50", .max), ("r2", .max), ("top-5 accuracy", .max),
    ])
  func known(name: String, mode: MetricMode) { #expect(MetricMode.known(name) == mode) }

  @Test(
    "a name that only holds a known one says nothing",
    arguments: ["loss_reduction", "lossless", "error_free", "score", "", "_", "val", "my_accuracy"])
  func unknown(name: String) { #expect(MetricMode.known(name) == nil) }

  @Test("no name is in both tables, and none is written in a way that is never looked up")
  func tables() {
    #expect(MetricMode.lower.isDisjoint(with: MetricMode.higher))
    for name in MetricMode.lower { #expect(MetricMode.known(name) == .min, "\(name)") }
    for name in MetricMode.higher { #expect(MetricMode.known(name) == .max, "\(name)") }
  }

  @Test("a task says the mode itself, and what it says holds")
  func modes() throws {
    let text = #"{"metric":"loss_reduction","mode":"max","at":0.5}"#
    let stop = try JSON.decode(StopSpecification.self, from: Array(text.utf8))
    #expect(stop.direction == .max && stop.isBetter(2, than: 1) && stop.isReached(by: 0.5) && !stop.isReached(by: 0.4))
    let other = StopSpecification(metric: "accuracy", mode: .min, at: 0.5)
    #expect(other.isBetter(1, than: 2) && other.isReached(by: 0.5) && !other.isReached(by: 0.6))
    #expect(StopSpecification(metric: "perplexity", at: 200).isReached(by: 150))
    #expect(!StopSpecification(metric: "perplexity", at: 200).isReached(by: 500))
    // The modes that version 0.1.0 gave to unknown names: a journal may have such a task.
    #expect(StopSpecification(metric: "my_loss").direction == .min && StopSpecification(metric: "score").direction == .max)
  }

  private func model(_ round: Int, _ central: [String: Double]?, _ devices: [String: Double]? = nil) -> ModelCheckpoint {
    ModelCheckpoint(round: round, digest: Digest(of: [UInt8(round)]), bytes: 1, metrics: central, deviceMetrics: devices, kept: true)
  }

  @Test("the best model is that of the task's metric, whoever measured it: central's number, else the devices'")
  func best() {
    func best(_ models: [ModelCheckpoint], _ stop: StopSpecification? = nil) -> Int? { TaskMetric.best(of: models, stop: stop)?.round }
    let devices = [model(0, nil), model(1, nil, ["accuracy": 0.5]), model(2, [:], ["accuracy": 0.9]), model(3, nil, ["accuracy": 0.4])]
    #expect(best(devices) == 2)
    let both = [model(1, ["loss": 3], ["loss": 1]), model(2, ["loss": 2], ["loss": 5])]
    #expect(best(both) == 2, "central's own number counts")
    let unusual = [model(1, ["mse": 3, "speed": 1]), model(2, ["mse": 2, "speed": 2]), model(3, ["mse": 2, "speed": 3])]
    #expect(best(unusual) == 2, "of equal ones the first")
    #expect(best(unusual, StopSpecification(metric: "speed", mode: .max)) == 3)
    #expect(best([model(1, ["speed": 1])]) == nil && best([]) == nil)
    #expect(best([model(1, ["loss": .nan]), model(2, ["loss": 4])]) == 2)
    // A stop metric that no evaluation reports is not used.
    #expect(best(devices, StopSpecification(metric: "f1", at: 1)) == 2)
  }

  @Test("what is compared: the stop metric, else accuracy, else loss, else the first that is known")
  func choice() {
    func name(_ reported: [String], _ stop: String? = nil) -> String? {
      let evaluations = [Dictionary(uniqueKeysWithValues: reported.map { ($0, 1.0) })]
      return TaskMetric(stop: stop.map { StopSpecification(metric: $0, mode: .max) }, in: evaluations)?.name
    }
    #expect(name(["loss", "accuracy", "f1"], "f1") == "f1")
    #expect(name(["loss", "accuracy", "f1"]) == "accuracy")
    #expect(name(["loss", "f1"]) == "loss")
    #expect(name(["speed", "r2", "mse"]) == "mse")
    #expect(name(["speed"]) == nil && name([]) == nil)
  }
}
