internal import FoundationEssentials
internal import MusterSchema
internal import MusterTensors

/// The metadata of a training step, checked against its inputs and outputs. Format: docs/trainers.md, "ONNX training step", version 1.
struct StepDescription {
  static let version = 1

  /// Number of samples in one run.
  let batch: Int
  /// The shape of one sample.
  let input: [Int]
  /// The names of the model's tensors, in the model's order.
  let parameters: [String]
  /// The names of the optimizer's state tensors, `state.…`.
  let states: [String]
  private let inputs: [String: OnnxSession.Slot]
  private let outputs: [String: OnnxSession.Slot]

  init(_ session: OnnxSession) throws(OnnxError) {
    inputs = Dictionary(session.inputs.map { ($0.name, $0) }) { first, _ in first }
    outputs = Dictionary(session.outputs.map { ($0.name, $0) }) { first, _ in first }
    guard let version = try session.metadata("muster.step") else {
      throw .step("is an ONNX model but not a training step: its metadata has no muster.step")
    }
    guard let number = Int(version), number >= 1 else { throw .step("its muster.step is \(shown(version)), which is not a version number") }
    guard number <= Self.version else {
      throw .step("has version \(number) of the format, but this program knows versions up to \(Self.version): update the trainer")
    }
    guard let text = try session.metadata("muster.batch"), let batch = Int(text), (1...1_000_000).contains(batch) else {
      throw .step("muster.batch must be a whole number from 1 to 1000000")
    }
    self.batch = batch
    input = try Self.list(session, "muster.input", of: Int.self)
    parameters = try Self.list(session, "muster.parameters", of: String.self)
    states = try Self.list(session, "muster.states", of: String.self)
    try check()
  }

  private static func list<T: Decodable>(_ session: OnnxSession, _ key: String, of: T.Type) throws(OnnxError) -> [T] {
    guard let text = try session.metadata(key) else { throw .step("has no \(key)") }
    do { return try JSON.decode([T].self, from: text.utf8) } catch { throw .step("\(key): \(JSON.explain(error, in: text.utf8))") }
  }

  private func check() throws(OnnxError) {
    guard !parameters.isEmpty, Set(parameters).count == parameters.count else {
      throw .step("muster.parameters is empty or has a name twice")
    }
    try expect("x", [batch] + input, [.f32, .i64])
    try expect("y", [batch], [.i64])
    try expect("weights", [batch], [.f32])
    for scalar in ["rate", "momentum", "weightDecay", "proximal"] where scalar == "rate" || inputs[scalar] != nil {
      try expect(scalar, [], [.f32])
    }
    for output in ["loss", "correct", "evaluation.loss", "evaluation.correct"] where output == "loss" || outputs[output] != nil {
      guard let slot = outputs[output] else { throw .step("has no output \(output)") }
      guard slot.shape == [], slot.dtype == .f32 else { throw .step("the output \(output) must be one float32") }
    }
    if outputs["evaluation.loss"] != nil, (outputs["evaluation.correct"] == nil) != (outputs["correct"] == nil) {
      throw .step("has only one of correct and evaluation.correct")
    }
    for name in parameters + states {
      guard let slot = inputs[name] else { throw .step("has no input \(shown(name))") }
      if let next = outputs["next.\(name)"], next.shape != slot.shape || next.dtype != slot.dtype {
        throw .step("next.\(name) differs from \(name) in shape or type")
      }
      if let base = inputs["base.\(name)"], base.shape != slot.shape || base.dtype != slot.dtype {
        throw .step("base.\(name) differs from \(name) in shape or type")
      }
    }
    for state in states where outputs["next.\(state)"] == nil { throw .step("has no output next.\(state)") }
    let known = Set(
      ["x", "y", "weights", "rate", "momentum", "weightDecay", "proximal"] + parameters + states + parameters.map { "base.\($0)" })
    if let unknown = inputs.keys.sorted().first(where: { !known.contains($0) }) { throw .step("has an unknown input \(shown(unknown))") }
  }

  private func expect(_ name: String, _ shape: [Int], _ dtypes: [DType]) throws(OnnxError) {
    guard let slot = inputs[name] else { throw .step("has no input \(name)") }
    guard slot.shape == shape, dtypes.contains(slot.dtype) else {
      throw .step(
        "the input \(name) is \(slot.dtype.rawValue) \(slot.shape), not \(dtypes.map(\.rawValue).joined(separator: " or ")) \(shape)")
    }
  }

  func inputSlot(_ name: String) -> OnnxSession.Slot? { inputs[name] }
  func outputSlot(_ name: String) -> OnnxSession.Slot? { outputs[name] }

  /// The tensors of the models that it can train.
  var schema: TensorSchema {
    TensorSchema(parameters.compactMap { name in inputs[name].map { TensorDescription(name: name, dtype: $0.dtype, shape: $0.shape) } })
  }

  /// Throws if the step cannot train with these settings.
  func check(_ local: LocalTraining) throws(OnnxError) {
    guard local.batch <= batch else { throw .task("local.batch is \(local.batch), but the step was exported for at most \(batch)") }
    for (name, value) in [("momentum", local.momentum), ("weightDecay", local.weightDecay), ("proximal", local.proximal)]
    where value > 0 && inputs[name] == nil {
      throw .task("local.\(name) is \(value), but the step was exported without \(name)")
    }
  }
}
