internal import FoundationEssentials
internal import Glibc
internal import MusterModels
internal import MusterSchema
internal import MusterTensors
internal import MusterTrainers

/// Runs the built-in models under the trainer contract. As a resident trainer it keeps the last data set and its networks in memory.
final class BuiltInTrainer {
  private struct Source: Hashable {
    var data: DataConfiguration
    /// Size, modification time and inode of each file, so that a changed file is read again.
    var files: [[Int]]
  }

  private struct Key: Hashable {
    var architecture: ModelArchitecture
    var batch: Int
  }

  private var data: (source: Source, set: DataSet)?
  /// Networks for `data`: usually one for training and one for evaluation.
  private var trainers: [Key: LocalTrainer<Float>] = [:]

  func perform(_ job: TrainerJob) throws {
    let model = job.description.model
    let architecture = try ModelArchitecture(type: model.type, input: model.input, classes: model.classes, hidden: model.hidden)
    switch job.description.job {
    case .initialize:
      let values: [Float] = architecture.initialParameters(seed: job.description.seed)
      try job.finish(try tensors(values, architecture), metrics: TrainerMetrics(samples: 0))
    case .train: try train(job, architecture)
    case .evaluate:
      let trainer = try trainer(for: job, architecture)
      try load(job.global(), into: trainer)
      let score = try trainer.evaluate { fraction in try job.progress(fraction) }
      try job.finish(metrics: metrics(score))
    }
  }

  private func train(_ job: TrainerJob, _ architecture: ModelArchitecture) throws {
    let local = job.description.local
    let trainer = try trainer(for: job, architecture)
    guard local.epochs > 0 else { return try job.finishUnchanged(metrics: TrainerMetrics(samples: Double(trainer.samples))) }
    try load(job.global(), into: trainer)
    try job.progress(0)
    let initial = try trainer.evaluate { _ in try job.progress(0) }
    let settings = TrainingSettings(
      epochs: local.epochs, batch: local.batch, rate: local.rate, momentum: local.momentum, weightDecay: local.weightDecay,
      proximal: local.proximal)
    let score = try trainer.train(settings, order: SplitMix64(job.description.seed, local.seed)) { progress in
      try job.progress(progress.fraction, epoch: progress.epoch, loss: progress.loss)
    }
    var result = metrics(score)
    result.initialLoss = initial?.loss
    try job.finish(try tensors(trainer.network.currentParameters(), architecture), metrics: result)
  }

  private func metrics(_ score: Score?) -> TrainerMetrics {
    guard let score else { return TrainerMetrics(samples: 0) }
    return TrainerMetrics(
      samples: Double(score.samples), metrics: ["loss": score.loss, "accuracy": score.accuracy, "recall": score.recall])
  }

  private func trainer(for job: TrainerJob, _ architecture: ModelArchitecture) throws -> LocalTrainer<Float> {
    let configuration = try job.data(as: DataConfiguration.self)
    let source = Source(data: configuration, files: configuration.paths.map(identity))
    if data?.source != source {
      (data, trainers) = (nil, [:])
      data = (source, try configuration.load())
    }
    let key = Key(architecture: architecture, batch: job.description.job == .train ? max(1, job.description.local.batch) : 64)
    if let trainer = trainers[key] { return trainer }
    guard let data else { preconditionFailure("the data was just loaded") }
    let trainer = try LocalTrainer<Float>(architecture, data: data.set, batch: key.batch, file: configuration.paths.first ?? "data")
    if trainers.count >= 2 { trainers = [:] }
    trainers[key] = trainer
    return trainer
  }

  private func identity(of path: String) -> [Int] {
    var status = stat()
    return stat(path, &status) == 0 ? [Int(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec, Int(status.st_ino)] : []
  }

  private func load(_ file: SafetensorsFile, into trainer: LocalTrainer<Float>) throws {
    let architecture = trainer.network.architecture
    let expected = TensorSchema(architecture.parameters.map { TensorDescription(name: $0.name, dtype: .f32, shape: $0.shape) })
    if let difference = file.schema.difference(from: expected, anyFloatingPoint: true) { throw ModelError.parameters(difference) }
    var values: [Float] = []
    for slot in architecture.parameters { values += try file.floats(of: slot.name) }
    trainer.network.load(values)
  }

  private func tensors(_ values: [Float], _ architecture: ModelArchitecture) throws -> [Tensor] {
    try architecture.parameters.map { slot in
      try Tensor(name: slot.name, shape: slot.shape, floats: Array(values[slot.offset..<slot.offset + slot.count]))
    }
  }
}
