/// A model with the memory for one batch: computes scores, the loss and its gradient. Not for use by several threads.
package final class Network<T: Scalar> {
  package let architecture: ModelArchitecture
  /// The largest batch, in samples.
  package let capacity: Int
  /// All parameters, in the order of ``ModelArchitecture/parameters``.
  let parameters: Buffer<T>
  let gradient: Buffer<T>
  /// A batch's samples, filled before ``forward(samples:)``: channels × samples × pixels if ``wantsImages``, else samples × features.
  let input: Buffer<T>
  private let steps: [Step]
  private let scoreGradient: Buffer<T>
  let predictions: UnsafeMutablePointer<Int32>

  /// A layer with its buffers, which are sized for a batch of ``capacity``.
  private struct Step {
    let layer: ModelArchitecture.Layer
    /// Offsets of its weight and bias in the flat parameters.
    let weight: Int
    let bias: Int
    let output: Buffer<T>
    /// The gradient by this layer's output; for the last layer, ``scoreGradient``.
    let outputGradient: Buffer<T>
    let columns: Buffer<T>?
  }

  package init(_ architecture: ModelArchitecture, capacity: Int) {
    precondition(capacity > 0, "a network's batch must hold at least one sample")
    BLAS.useOneThread()
    self.architecture = architecture
    self.capacity = capacity
    parameters = Buffer(architecture.parameterCount)
    gradient = Buffer(architecture.parameterCount)
    input = Buffer(architecture.input.count * capacity)
    scoreGradient = Buffer(architecture.classes * capacity)
    predictions = .allocate(capacity: capacity)
    predictions.initialize(repeating: 0, count: capacity)
    var slots = architecture.parameters[...]
    var steps: [Step] = []
    let layers = architecture.layers
    // The columns' gradient overwrites the columns, which are not needed once the weight's gradient is known.
    for (index, layer) in layers.enumerated() {
      var (weight, bias, columns): (Int, Int, Buffer<T>?) = (0, 0, nil)
      let size: Int
      switch layer {
      case .convolution(_, let from, let channels, let kernel, let padding):
        let pixels = (from.height + 2 * padding - kernel + 1) * (from.width + 2 * padding - kernel + 1)
        columns = Buffer(from.channels * kernel * kernel * pixels * capacity)
        size = channels * pixels
      case .pool(let from): size = from.channels * (from.height / 2) * (from.width / 2)
      case .flatten(let from): size = from.count
      case .dense(_, _, let outputs): size = outputs
      case .relu(let count): size = count
      }
      switch layer {
      case .convolution, .dense:
        weight = slots.removeFirst().offset
        bias = slots.removeFirst().offset
      default: break
      }
      let output = Buffer<T>(size * capacity)
      let outputGradient = index == layers.count - 1 ? scoreGradient : Buffer<T>(size * capacity)
      steps.append(
        Step(layer: layer, weight: weight, bias: bias, output: output, outputGradient: outputGradient, columns: columns))
    }
    self.steps = steps
  }

  deinit { predictions.deallocate() }

  /// Whether ``input`` is laid out channels first, as convolutions need it.
  var wantsImages: Bool { architecture.kind == .leNet5 }

  package func load(_ values: [T]) {
    precondition(values.count == parameters.count, "the number of parameters differs from the model's")
    values.withUnsafeBufferPointer { source in
      if let start = source.baseAddress { parameters.start.update(from: start, count: source.count) }
    }
  }

  package func currentParameters() -> [T] { Array(UnsafeBufferPointer(start: parameters.start, count: parameters.count)) }
  package func currentGradient() -> [T] { Array(UnsafeBufferPointer(start: gradient.start, count: gradient.count)) }

  /// Computes the scores, samples × classes, of the first `samples` in ``input``.
  @discardableResult
  func forward(samples: Int) -> UnsafePointer<T> {
    var current = UnsafePointer(input.start)
    for step in steps {
      let output = step.output.start
      switch step.layer {
      case .convolution(_, let from, let channels, let kernel, let padding):
        guard let columns = step.columns else { preconditionFailure("a convolution has no columns") }
        let patch = from.channels * kernel * kernel
        let positions = samples * (from.height + 2 * padding - kernel + 1) * (from.width + 2 * padding - kernel + 1)
        unfold(current, samples: samples, from: from, kernel: kernel, padding: padding, into: columns.start)
        fillRows(parameters.start + step.bias, rows: channels, columns: positions, into: output)
        T.multiply(
          m: channels, n: positions, k: patch, parameters.start + step.weight, transposed: false, columns.start, transposed: false,
          into: output, keeping: 1)
      case .pool(let from): poolForward(current, planes: from.channels * samples, height: from.height, width: from.width, into: output)
      case .flatten(let from):
        exchange(current, outer: from.channels, inner: samples, pixels: from.height * from.width, into: output)
      case .dense(_, let inputs, let outputs):
        for sample in 0..<samples { (output + sample * outputs).update(from: parameters.start + step.bias, count: outputs) }
        T.multiply(
          m: samples, n: outputs, k: inputs, current, transposed: false, parameters.start + step.weight, transposed: true, into: output,
          keeping: 1)
      case .relu(let count): reluForward(current, count: count * samples, into: output)
      }
      current = UnsafePointer(output)
    }
    return current
  }

  /// The summed loss of the batch in ``input``. Also sets ``predictions`` and the scores' gradient.
  func loss(labels: UnsafePointer<Int32>, samples: Int) -> Double {
    let scores = forward(samples: samples)
    return crossEntropy(
      scores, labels: labels, samples: samples, classes: architecture.classes, predictions: predictions, gradient: scoreGradient.start)
  }

  /// Fills ``gradient`` with the gradient of the batch's mean loss. Call it after ``loss(labels:samples:)``.
  func backward(samples: Int) {
    for index in steps.indices.reversed() {
      let step = steps[index]
      let incoming = UnsafePointer(step.outputGradient.start)
      let below = index > 0 ? steps[index - 1] : nil
      let source = UnsafePointer(below?.output.start ?? input.start)
      let target = below?.outputGradient.start
      switch step.layer {
      case .convolution(_, let from, let channels, let kernel, let padding):
        guard let columns = step.columns else { preconditionFailure("a convolution has no columns") }
        let patch = from.channels * kernel * kernel
        let positions = samples * (from.height + 2 * padding - kernel + 1) * (from.width + 2 * padding - kernel + 1)
        T.multiply(
          m: channels, n: patch, k: positions, incoming, transposed: false, columns.start, transposed: true,
          into: gradient.start + step.weight, keeping: 0)
        sumRows(incoming, rows: channels, columns: positions, into: gradient.start + step.bias)
        guard let target else { continue }
        T.multiply(
          m: patch, n: positions, k: channels, parameters.start + step.weight, transposed: true, incoming, transposed: false,
          into: columns.start, keeping: 0)
        fold(columns.start, samples: samples, to: from, kernel: kernel, padding: padding, into: target)
      case .pool(let from):
        guard let target else { continue }
        poolBackward(
          incoming, input: source, output: step.output.start, planes: from.channels * samples, height: from.height, width: from.width,
          into: target)
      case .flatten(let from):
        guard let target else { continue }
        exchange(incoming, outer: samples, inner: from.channels, pixels: from.height * from.width, into: target)
      case .dense(_, let inputs, let outputs):
        T.multiply(
          m: outputs, n: inputs, k: samples, incoming, transposed: true, source, transposed: false, into: gradient.start + step.weight,
          keeping: 0)
        sumColumns(incoming, rows: samples, columns: outputs, into: gradient.start + step.bias)
        guard let target else { continue }
        T.multiply(
          m: samples, n: inputs, k: outputs, incoming, transposed: false, parameters.start + step.weight, transposed: false, into: target,
          keeping: 0)
      case .relu(let count):
        guard let target else { continue }
        reluBackward(incoming, output: step.output.start, count: count * samples, into: target)
      }
    }
  }
}
