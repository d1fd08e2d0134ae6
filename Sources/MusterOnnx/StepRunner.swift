internal import MusterModels
internal import MusterSchema
internal import MusterTensors

/// A training step with its memory: two sets of tensors, of which each run reads one and writes the other.
final class StepRunner {
  private typealias Buffer = OnnxSession.Buffer

  let step: StepDescription
  private let samples: Buffer
  private let labels: Buffer
  private let weights: Buffer
  private let rate: Buffer
  private let settings: [String: Buffer]
  private let base: [String: Buffer]
  private let loss: Buffer
  private let correct: Buffer?
  private var tensors: [[String: Buffer]]
  private let training: [OnnxSession.Call]
  private let evaluation: [OnnxSession.Call]
  /// The index of the set that the next run reads.
  private var current = 0

  /// Sums over the samples of a batch.
  struct Sums {
    var loss = 0.0
    var correct = 0.0
  }

  init(_ session: OnnxSession) throws(OnnxError) {
    let step = try StepDescription(session)
    self.step = step
    func buffer(_ slot: OnnxSession.Slot?, _ name: String) throws(OnnxError) -> Buffer {
      guard let slot else { throw .step("has no \(name)") }
      return Buffer(slot)
    }
    samples = try buffer(step.inputSlot("x"), "x")
    labels = try buffer(step.inputSlot("y"), "y")
    weights = try buffer(step.inputSlot("weights"), "weights")
    rate = try buffer(step.inputSlot("rate"), "rate")
    loss = try buffer(step.outputSlot("loss"), "loss")
    correct = step.outputSlot("correct").map { Buffer($0) }
    var settings: [String: Buffer] = [:]
    for name in ["momentum", "weightDecay", "proximal"] { settings[name] = step.inputSlot(name).map { Buffer($0) } }
    var base: [String: Buffer] = [:]
    for name in step.parameters { base[name] = step.inputSlot("base.\(name)").map { Buffer($0) } }
    var sets: [[String: Buffer]] = [[:], [:]]
    for name in step.parameters + step.states {
      let first = try buffer(step.inputSlot(name), name)
      sets[0][name] = first
      // A tensor without a `next.` output never changes, so both sets share its buffer.
      sets[1][name] = step.outputSlot("next.\(name)") == nil ? first : Buffer(first.slot)
    }
    (self.settings, self.base, tensors) = (settings, base, sets)

    var common: [(name: String, buffer: Buffer)] = [("x", samples), ("y", labels), ("weights", weights), ("rate", rate)]
    common += settings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    common += base.sorted { $0.key < $1.key }.map { ("base.\($0.key)", $0.value) }
    let scores = [("loss", loss)] + (correct.map { [("correct", $0)] } ?? [])
    let measures =
      step.outputSlot("evaluation.loss") == nil
      ? scores : [("evaluation.loss", loss)] + (correct.map { [("evaluation.correct", $0)] } ?? [])
    var training: [OnnxSession.Call] = []
    var evaluation: [OnnxSession.Call] = []
    for read in 0...1 {
      var inputs = common
      var outputs: [(name: String, buffer: Buffer)] = scores
      for name in step.parameters + step.states {
        guard let from = sets[read][name], let to = sets[1 - read][name] else { continue }
        inputs.append((name, from))
        if from !== to { outputs.append(("next.\(name)", to)) }
      }
      training.append(try session.call(inputs: inputs, outputs: outputs))
      evaluation.append(try session.call(inputs: inputs, outputs: measures))
    }
    (self.training, self.evaluation) = (training, evaluation)
  }

  var hasAccuracy: Bool { correct != nil }

  /// Begins a job: sets the tensors and `base.*` to the model's, and states to zeros.
  func load(_ model: SafetensorsFile, _ local: LocalTraining) throws {
    if let difference = model.schema.difference(from: step.schema) { throw OnnxError.task("the model's tensors differ: \(difference)") }
    current = 0
    for name in step.parameters {
      guard let target = tensors[0][name] else { continue }
      try model.withBytes(of: name) { bytes in
        target.bytes.copyMemory(from: bytes)
        base[name]?.bytes.copyMemory(from: bytes)
      }
    }
    for state in step.states { tensors[0][state]?.bytes.initializeMemory(as: UInt8.self, repeating: 0) }
    settings["momentum"]?.float = Float(local.momentum)
    settings["weightDecay"]?.float = Float(local.weightDecay)
    settings["proximal"]?.float = Float(local.proximal)
  }

  /// Loads a batch. If it is smaller than the step's own batch, the remaining samples are zeros of weight 0.
  func fill(_ data: DataSet, _ positions: ArraySlice<Int32>) {
    let size = data.shape.count
    if samples.slot.dtype == .f32 {
      data.write(positions, into: UnsafeMutableBufferPointer(rebasing: samples.floats[..<(positions.count * size)]))
      if positions.count < step.batch { samples.floats[(positions.count * size)...].update(repeating: 0) }
    } else {
      var numbers = [Float](repeating: 0, count: positions.count * size)
      numbers.withUnsafeMutableBufferPointer { data.write(positions, into: $0) }
      for index in samples.integers.indices { samples.integers[index] = index < numbers.count ? Int64(numbers[index].rounded()) : 0 }
    }
    for slot in 0..<step.batch {
      let isSample = slot < positions.count
      labels.integers[slot] = isSample ? Int64(data.labels[Int(positions[positions.startIndex + slot])]) : 0
      weights.floats[slot] = isSample ? 1 : 0
    }
  }

  /// Trains one step on the loaded batch.
  func train(rate: Double) throws(OnnxError) -> Sums {
    self.rate.float = Float(rate)
    try training[current].run()
    current = 1 - current
    return sums
  }

  /// Measures the loaded batch without training.
  func evaluate() throws(OnnxError) -> Sums {
    rate.float = 0
    try evaluation[current].run()
    return sums
  }

  private var sums: Sums { Sums(loss: Double(loss.float), correct: correct.map { Double($0.float) } ?? 0) }

  /// The model's tensors after the last step.
  func result() throws(SafetensorsError) -> [Tensor] {
    var result: [Tensor] = []
    for name in step.parameters {
      guard let buffer = tensors[current][name] else { continue }
      let bytes = [UInt8](buffer.bytes.prefix(buffer.slot.count * buffer.slot.dtype.byteSize))
      result.append(try Tensor(name: name, dtype: buffer.slot.dtype, shape: buffer.slot.shape, data: bytes))
    }
    return result
  }
}
