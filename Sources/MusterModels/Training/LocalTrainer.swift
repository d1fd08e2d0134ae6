/// The hyperparameters of local training.
package struct TrainingSettings: Hashable, Sendable {
  package var epochs: Int
  package var batch: Int
  package var rate: Double
  package var momentum: Double
  package var weightDecay: Double
  /// FedProx's μ: adds (μ/2)‖w − base‖² to the loss (Li et al. 2020).
  package var proximal: Double

  package init(epochs: Int, batch: Int, rate: Double, momentum: Double = 0, weightDecay: Double = 0, proximal: Double = 0) {
    self.epochs = epochs
    self.batch = batch
    self.rate = rate
    self.momentum = momentum
    self.weightDecay = weightDecay
    self.proximal = proximal
  }

  package func check() throws(ModelError) {
    guard epochs >= 0 else { throw .settings("epochs must be 0 or more, got \(epochs)") }
    guard (1...1_000_000).contains(batch) else { throw .settings("batch must be between 1 and 1000000, got \(batch)") }
    for (name, value) in [("rate", rate), ("momentum", momentum), ("weightDecay", weightDecay), ("proximal", proximal)] {
      guard value.isFinite, value >= 0 else { throw .settings("\(name) must be 0 or more, got \(value)") }
    }
  }
}

/// The quality of a model on some samples.
package struct Score: Hashable, Sendable {
  package let samples: Int
  /// Mean cross-entropy per sample.
  package let loss: Double
  /// Fraction of samples that were classified correctly.
  package let accuracy: Double
  /// Macro recall: the fraction of each class's samples that were found, averaged over the classes that occur.
  package let recall: Double
}

/// The progress of a training run.
package struct TrainingProgress: Hashable, Sendable {
  /// The completed part of all epochs, 0 to 1.
  package let fraction: Double
  /// The current epoch, counted from 1.
  package let epoch: Int
  /// Mean loss in the current epoch so far.
  package let loss: Double
}

/// Trains and evaluates one model on one data set, on the calling thread. The same parameters, data, settings and seed give the same bits
/// on the same machine.
package final class LocalTrainer<T: Scalar> {
  package let network: Network<T>
  private let data: DataSet
  private let table: [T]
  private var labels: [Int32]

  /// - Parameter batch: the largest batch size for training, and the batch size of evaluation.
  package init(_ architecture: ModelArchitecture, data: DataSet, batch: Int, file: String = "data") throws(ModelError) {
    try data.check(against: architecture, file: file)
    self.data = data
    network = Network(architecture, capacity: min(batch, max(1, data.count)))
    table = (0..<256).map { T($0) / 255 }
    labels = [Int32](repeating: 0, count: network.capacity)
  }

  /// The number of samples in the data.
  package var samples: Int { data.count }

  /// Trains from the network's current parameters, which are also FedProx's base.
  ///
  /// Each epoch shuffles the previous epoch's order (at first 0, 1, 2, …) with `generator` and takes batches of `settings.batch` from its
  /// front. The last batch may be smaller.
  ///
  /// - Parameter progress: called after every batch. An error that it throws ends the training.
  /// - Returns: the score of the last epoch, measured during training; `nil` without an epoch or samples.
  @discardableResult
  package func train(
    _ settings: TrainingSettings, order generator: SplitMix64, progress: (TrainingProgress) throws -> Void = { _ in }
  ) throws -> Score? {
    try settings.check()
    var generator = generator
    let count = network.parameters.count
    let velocity = settings.momentum != 0 ? Buffer<T>(count) : nil
    let base = settings.proximal != 0 ? Buffer<T>(count) : nil
    base?.start.update(from: network.parameters.start, count: count)
    var order = (0..<Int32(data.count)).map { $0 }
    var score: Score?
    for epoch in 0..<settings.epochs where data.count > 0 {
      generator.shuffle(&order)
      var tally = Tally(classes: network.architecture.classes)
      var position = 0
      while position < data.count {
        let samples = min(settings.batch, network.capacity, data.count - position)
        let loss = step(order[position..<position + samples])
        guard loss.isFinite else { throw ModelError.diverged(epoch: epoch + 1, rate: settings.rate) }
        tally.add(loss: loss, labels: labels, predictions: network.predictions, samples: samples)
        network.backward(samples: samples)
        descend(
          network.parameters.start, gradient: network.gradient.start, velocity: velocity?.start, base: base.map { UnsafePointer($0.start) },
          count: count, rate: T(settings.rate), momentum: T(settings.momentum), weightDecay: T(settings.weightDecay),
          proximal: T(settings.proximal))
        position += samples
        let done = (Double(epoch) + Double(position) / Double(data.count)) / Double(settings.epochs)
        try progress(TrainingProgress(fraction: done, epoch: epoch + 1, loss: tally.loss))
      }
      // A kernel may turn a NaN into 0 on the way to the loss, and no loss is computed after the last step of an epoch.
      guard UnsafeBufferPointer(start: network.parameters.start, count: count).allSatisfy(\.isFinite) else {
        throw ModelError.diverged(epoch: epoch + 1, rate: settings.rate)
      }
      score = tally.score
    }
    return score
  }

  /// The score of the network's current parameters on all samples; `nil` if there are none.
  package func evaluate(progress: (Double) throws -> Void = { _ in }) throws -> Score? {
    guard data.count > 0 else { return nil }
    var tally = Tally(classes: network.architecture.classes)
    var position = 0
    while position < data.count {
      let samples = min(network.capacity, data.count - position)
      tally.add(
        loss: step(Int32(position)..<Int32(position + samples)), labels: labels, predictions: network.predictions, samples: samples)
      position += samples
      try progress(Double(position) / Double(data.count))
    }
    return tally.score
  }

  /// Loads these samples into the network and returns their summed loss.
  private func step(_ positions: some Collection<Int32>) -> Double {
    let (channels, pixels) = network.wantsImages ? (data.shape.channels, data.shape.height * data.shape.width) : (1, data.shape.count)
    let samples = positions.count
    for (slot, position) in positions.enumerated() {
      labels[slot] = data.labels[Int(position)]
      for channel in 0..<channels {
        let source = Int(position) * data.shape.count + channel * pixels
        let target = network.input.start + (channel * samples + slot) * pixels
        switch data.values {
        case .bytes(let bytes):
          bytes.withUnsafeBufferPointer { bytes in
            table.withUnsafeBufferPointer { table in
              guard let bytes = bytes.baseAddress, let table = table.baseAddress else { return }
              gather(bytes + source, table: table, count: pixels, into: target)
            }
          }
        case .numbers(let numbers): for index in 0..<pixels { target[index] = T(numbers[source + index]) }
        }
      }
    }
    return labels.withUnsafeBufferPointer { labels in
      guard let labels = labels.baseAddress else { return 0 }
      return network.loss(labels: labels, samples: samples)
    }
  }
}

/// Adds up the results of a pass over the data.
private struct Tally {
  private var sum = 0.0
  private var samples = 0
  private var found: [Int]
  private var present: [Int]

  init(classes: Int) {
    found = [Int](repeating: 0, count: classes)
    present = found
  }

  mutating func add(loss: Double, labels: [Int32], predictions: UnsafePointer<Int32>, samples: Int) {
    sum += loss
    self.samples += samples
    for index in 0..<samples {
      let label = Int(labels[index])
      present[label] += 1
      if predictions[index] == labels[index] { found[label] += 1 }
    }
  }

  var loss: Double { sum / Double(max(1, samples)) }

  var score: Score {
    let recalls = zip(found, present).filter { $0.1 > 0 }.map { Double($0.0) / Double($0.1) }
    return Score(
      samples: samples, loss: loss, accuracy: Double(found.reduce(0, +)) / Double(max(1, samples)),
      recall: recalls.reduce(0, +) / Double(max(1, recalls.count)))
  }
}
