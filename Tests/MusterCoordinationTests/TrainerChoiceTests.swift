import MusterSchema
import Testing

@testable import MusterParticipation

@Suite("Which of its trainers a device takes")
struct TrainerChoiceTests {
  static let capabilities = Capabilities(
    trainers: ["built-in", "mine", "onnx", "pytorch"], models: ["built-in": ["softmax", "lenet5"], "onnx": ["step:onnx"]],
    versions: ["pytorch": "2.15.0"])

  private func choice(_ trainer: TrainerSelection, _ model: String = "lenet5", step: Bool = false) -> Admission.TrainerChoice {
    let step = step ? TrainingStep(blob: Digest(of: "step")) : nil
    return Admission.choice(of: trainer, for: ModelSpecification(type: model, step: step), from: Self.capabilities)
  }

  @Test("the first that it has and that knows the model")
  func first() {
    #expect(choice("built-in") == .trainer("built-in"))
    #expect(choice(TrainerSelection(any: ["jax", "pytorch", "built-in"])) == .trainer("pytorch"))
    #expect(
      choice(TrainerSelection(any: ["built-in", "mine"]), "bert") == .trainer("mine"), "what says nothing of its models may know all")
    #expect(choice(TrainerSelection(any: ["onnx", "built-in"]), step: true) == .trainer("onnx"))
    #expect(choice(TrainerSelection(any: ["onnx", "built-in"])) == .trainer("built-in"), "without a step there is nothing to execute")
    #expect(choice(TrainerSelection(any: ["pytorch>=2.1"])) == .trainer("pytorch"))
  }

  @Test("or why none fits, the first reason of one that is there")
  func none() {
    #expect(choice("jax") == .none("has no trainer \"jax\" (it has: built-in, mine, onnx, pytorch)"))
    #expect(
      choice(TrainerSelection(any: ["jax", "mlx"]))
        == .none("has none of the trainers \"jax\", \"mlx\" (it has: built-in, mine, onnx, pytorch)"))
    #expect(choice("built-in", "bert") == .none("trainer \"built-in\" does not support the model bert (it supports: softmax, lenet5)"))
    #expect(choice("onnx") == .none("trainer \"onnx\" needs an exported training step, but the task has no model.step"))
    #expect(choice("pytorch>=3") == .none("trainer \"pytorch\" has version 2.15.0, the task needs 3"))
    #expect(choice("mine>=1") == .none("trainer \"mine\" does not report its version, the task needs 1"))
  }

  @Test("a coordinator does not count on a node that has none of the trainers, and says what that has")
  func mismatch() {
    var task = specification()
    task.trainer = TrainerSelection(any: ["jax", "onnx"])
    let descriptor = TaskDescriptor(task: .digits, specification: task, revision: 1, state: .open, central: "http://central:7400")
    let node = NodeState(node: .pi(1), online: true, session: "s", capabilities: Self.capabilities)
    #expect(Admission.mismatch(descriptor, node) == "trainer \"onnx\" needs an exported training step, but the task has no model.step")
    #expect(Admission.mismatch(descriptor, NodeState(node: .pi(1), online: true, session: "s")) == nil)
  }

  @Test("its statuses say which")
  func statuses() {
    var device = Participant(id: .pi(1), coordinator: .north, capacity: 1)
    func trainers(_ event: Participant.Event) -> [String?] {
      device.handle(event, at: .zero).effects.compactMap { if case .status(let status, _) = $0 { status.trainer } else { nil } }
    }
    let descriptor = TaskDescriptor(
      task: .digits, specification: specification(), revision: 1, state: .open, central: "http://central:7400")
    _ = trainers(.descriptor(descriptor))
    #expect(trainers(.readiness(.digits, Readiness(devices: 1, trainer: "pytorch"))) == ["pytorch"])
    let invitation = Invitation(
      task: .digits, revision: 1, key: RoundKey(round: 1, phase: .train, attempt: 1), quota: 1, minimum: 1,
      base: ModelReference(digest: Digest(of: "base"), bytes: 10), upload: "http://central:7400/v1/x", seed: 5, secondsLeft: 60,
      startWithin: 0)
    #expect(trainers(.invitation(invitation)) == ["pytorch"])
    #expect(trainers(.failed(.digits, invitation.key, reason: "no data")) == ["pytorch"])
  }
}
