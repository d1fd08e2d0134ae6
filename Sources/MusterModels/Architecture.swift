/// The size of one sample: channels × height × width.
package struct SampleShape: Hashable, Sendable, CustomStringConvertible {
  package var channels: Int
  package var height: Int
  package var width: Int

  package init(channels: Int, height: Int, width: Int) {
    self.channels = channels
    self.height = height
    self.width = width
  }

  /// Takes one size (features), two (height, width) or three (channels, height, width).
  package init(_ sizes: [Int]) throws(ModelError) {
    guard (1...3).contains(sizes.count), sizes.allSatisfy({ (1...1_000_000).contains($0) }) else {
      throw .architecture("its input must be given as [features], [height, width] or [channels, height, width], got \(sizes)")
    }
    switch sizes.count {
    case 1: self.init(channels: 1, height: 1, width: sizes[0])
    case 2: self.init(channels: 1, height: sizes[0], width: sizes[1])
    default: self.init(channels: sizes[0], height: sizes[1], width: sizes[2])
    }
  }

  package var count: Int { channels * height * width }
  package var description: String { "\(channels)×\(height)×\(width)" }
}

/// A built-in model. Names and shapes of its parameters are PyTorch's: `conv1.weight` O×I×H×W, `fc1.weight` out×in.
package struct ModelArchitecture: Hashable, Sendable {
  package enum Kind: Hashable, Sendable {
    /// One dense layer, `fc1`.
    case softmax
    /// Dense layers `fc1`, `fc2`, … with ReLU between them.
    case mlp(hidden: [Int])
    /// LeCun et al. 1998, with ReLU and max-pooling instead of the paper's functions: `conv1`, `conv2`, `fc1` (120), `fc2` (84), `fc3`, and
    /// max-pooling by 2 after each convolution. Kernels for 8×8 input are 3×3, padded by 1; for 28×28, 5×5, the first padded by 2; for
    /// 32×32, 5×5 without padding, as in the paper.
    case leNet5
  }

  package let kind: Kind
  package let input: SampleShape
  package let classes: Int

  /// - Throws: ``ModelError/architecture(_:)`` for an unknown type or unsupported sizes.
  package init(type: String, input: [Int]?, classes: Int?, hidden: [Int]? = nil) throws(ModelError) {
    guard let input else { throw .architecture("`input` is missing, for example [1, 28, 28]") }
    guard let classes, (2...100_000).contains(classes) else {
      throw .architecture("`classes` must be between 2 and 100000\(classes.map { ", got \($0)" } ?? "")")
    }
    let kind: Kind
    switch type {
    case "softmax": kind = .softmax
    case "mlp": kind = .mlp(hidden: hidden ?? [])
    case "lenet5": kind = .leNet5
    default: throw .architecture("unknown type \"\(type)\"; the built-in ones are softmax, mlp and lenet5")
    }
    try self.init(kind, input: try SampleShape(input), classes: classes)
    if let hidden, !hidden.isEmpty, type != "mlp" { throw .architecture("`hidden` is only for mlp, not for \(type)") }
  }

  package init(_ kind: Kind, input: SampleShape, classes: Int) throws(ModelError) {
    self.kind = kind
    self.input = input
    self.classes = classes
    switch kind {
    case .softmax: break
    case .mlp(let hidden):
      guard (1...32).contains(hidden.count), hidden.allSatisfy({ (1...1_000_000).contains($0) }) else {
        throw .architecture("an mlp needs `hidden`, 1 to 32 widths of at least 1, got \(hidden)")
      }
    case .leNet5:
      guard input.height == input.width, [8, 28, 32].contains(input.height) else {
        throw .architecture("lenet5 takes images of 8×8, 28×28 or 32×32 pixels, got \(input)")
      }
    }
    guard parameters.reduce(0, { $0 + $1.count }) <= 1 << 30 else { throw .architecture("it has more than 2³⁰ parameters") }
  }
}

/// One named tensor in a model's flat array of parameters.
package struct ParameterSlot: Hashable, Sendable {
  package let name: String
  package let shape: [Int]
  package let offset: Int

  package var count: Int { shape.reduce(1, *) }
  var isBias: Bool { shape.count == 1 }
  /// The number of inputs to one output, which gives the range of the initial values.
  var fanIn: Int { shape.dropFirst().reduce(1, *) }
}

extension ModelArchitecture {
  /// One layer of the network, with its sizes.
  enum Layer: Hashable {
    case convolution(name: String, from: SampleShape, channels: Int, kernel: Int, padding: Int)
    /// ReLU and max-pooling by 2, in one step.
    case pool(from: SampleShape)
    case flatten(from: SampleShape)
    case dense(name: String, inputs: Int, outputs: Int)
    case relu(count: Int)
  }

  var layers: [Layer] {
    switch kind {
    case .softmax: return dense([input.count, classes])
    case .mlp(let hidden): return dense([input.count] + hidden + [classes])
    case .leNet5:
      let (kernel, paddings) = input.height == 8 ? (3, [1, 1]) : (5, input.height == 28 ? [2, 0] : [0, 0])
      var shape = input
      var layers: [Layer] = []
      for (index, channels) in [6, 16].enumerated() {
        let padding = paddings[index]
        layers.append(.convolution(name: "conv\(index + 1)", from: shape, channels: channels, kernel: kernel, padding: padding))
        let side = shape.height + 2 * padding - kernel + 1
        shape = SampleShape(channels: channels, height: side, width: side)
        layers.append(.pool(from: shape))
        shape = SampleShape(channels: channels, height: side / 2, width: side / 2)
      }
      layers.append(.flatten(from: shape))
      return layers + dense([shape.count, 120, 84, classes])
    }
  }

  private func dense(_ widths: [Int]) -> [Layer] {
    var layers: [Layer] = []
    for (index, (inputs, outputs)) in zip(widths, widths.dropFirst()).enumerated() {
      if index > 0 { layers.append(.relu(count: inputs)) }
      layers.append(.dense(name: "fc\(index + 1)", inputs: inputs, outputs: outputs))
    }
    return layers
  }

  /// The model's tensors in layer order. Their offsets point into one flat array of ``parameterCount`` numbers.
  package var parameters: [ParameterSlot] {
    var slots: [ParameterSlot] = []
    var offset = 0
    func append(_ name: String, _ shape: [Int]) {
      let slot = ParameterSlot(name: name, shape: shape, offset: offset)
      slots.append(slot)
      offset += slot.count
    }
    for layer in layers {
      switch layer {
      case .convolution(let name, let from, let channels, let kernel, _):
        append("\(name).weight", [channels, from.channels, kernel, kernel])
        append("\(name).bias", [channels])
      case .dense(let name, let inputs, let outputs):
        append("\(name).weight", [outputs, inputs])
        append("\(name).bias", [outputs])
      case .pool, .flatten, .relu: break
      }
    }
    return slots
  }

  package var parameterCount: Int { parameters.last.map { $0.offset + $0.count } ?? 0 }

  /// Initial parameters: weights uniform in ±√(6 / fan-in) (He et al. 2015), drawn in layer order; biases 0.
  package func initialParameters<T: Scalar>(_: T.Type = T.self, seed: UInt64) -> [T] {
    var generator = SplitMix64(seed: seed)
    var values = [T](repeating: 0, count: parameterCount)
    for slot in parameters where !slot.isBias {
      let bound = (6 / Double(slot.fanIn)).squareRoot()
      for index in slot.offset..<slot.offset + slot.count { values[index] = T((2 * generator.unit() - 1) * bound) }
    }
    return values
  }
}
