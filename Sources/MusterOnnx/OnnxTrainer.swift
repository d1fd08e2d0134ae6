internal import Glibc
internal import MusterModels
internal import MusterSchema
internal import MusterTensors
package import MusterTrainers

/// Runs exported training steps, `step.onnx` in the job's folder, with ONNX Runtime under the trainer contract. As a resident trainer it
/// keeps the last step and data set in memory. Not for use by several threads.
package final class OnnxTrainer {
  private struct Source: Hashable {
    var data: DataConfiguration
    var files: [[Int]]
  }

  private let libraries: [String]
  private let threads: Int
  private var step: (digest: Digest, runner: StepRunner)?
  private var data: (source: Source, set: DataSet)?

  /// The default names of the library.
  package static let libraries = ["libonnxruntime.so.1", "libonnxruntime.so"]

  /// - Parameters:
  ///   - libraries: paths, or names for the dynamic linker; the first that can be opened is used.
  ///   - threads: the number of threads for one run.
  package init(libraries: [String] = OnnxTrainer.libraries, threads: Int = 1) {
    self.libraries = libraries
    self.threads = max(1, threads)
  }

  package func perform(_ job: TrainerJob) throws {
    guard job.description.job != .initialize else {
      throw OnnxError.task("it cannot make a first model: give the task `initial: {blob: …}`, or list a trainer that can before this one")
    }
    try OnnxSession.open(libraries)
    let runner = try runner(for: job)
    let set = try loadData(job, runner.step)
    if job.description.job == .evaluate {
      try runner.load(job.global(), job.description.local)
      return try job.finish(metrics: try measure(runner, set) { try job.progress($0) })
    }
    try train(job, runner, set)
  }

  private func train(_ job: TrainerJob, _ runner: StepRunner, _ set: DataSet) throws {
    let local = job.description.local
    try runner.step.check(local)
    guard local.epochs > 0 else { return try job.finishUnchanged(metrics: TrainerMetrics(samples: Double(set.count))) }
    try runner.load(job.global(), local)
    try job.progress(0)
    let initial = try measure(runner, set) { _ in try job.progress(0) }
    var generator = SplitMix64(job.description.seed, local.seed)
    var order = (0..<Int32(set.count)).map { $0 }
    var sums = StepRunner.Sums()
    for epoch in 0..<local.epochs {
      generator.shuffle(&order)
      sums = StepRunner.Sums()
      var position = 0
      while position < set.count {
        let end = min(position + local.batch, set.count)
        runner.fill(set, order[position..<end])
        let batch = try runner.train(rate: local.rate)
        guard batch.loss.isFinite else { throw OnnxError.diverged(epoch: epoch + 1, rate: local.rate) }
        sums.loss += batch.loss
        sums.correct += batch.correct
        position = end
        let fraction = (Double(epoch) + Double(position) / Double(set.count)) / Double(local.epochs)
        try job.progress(fraction, epoch: epoch + 1, loss: sums.loss / Double(position))
      }
    }
    var metrics = metrics(sums, runner, samples: set.count)
    metrics.initialLoss = initial.metrics["loss"]
    try job.finish(try runner.result(), metrics: metrics)
  }

  private func measure(_ runner: StepRunner, _ set: DataSet, progress: (Double) throws -> Void) throws -> TrainerMetrics {
    let order = (0..<Int32(set.count)).map { $0 }
    var sums = StepRunner.Sums()
    for position in stride(from: 0, to: set.count, by: runner.step.batch) {
      let end = min(position + runner.step.batch, set.count)
      runner.fill(set, order[position..<end])
      let batch = try runner.evaluate()
      sums.loss += batch.loss
      sums.correct += batch.correct
      try progress(Double(end) / Double(max(1, set.count)))
    }
    return metrics(sums, runner, samples: set.count)
  }

  private func metrics(_ sums: StepRunner.Sums, _ runner: StepRunner, samples: Int) -> TrainerMetrics {
    guard samples > 0 else { return TrainerMetrics(samples: 0) }
    var metrics = ["loss": sums.loss / Double(samples)]
    if runner.hasAccuracy { metrics["accuracy"] = sums.correct / Double(samples) }
    return TrainerMetrics(samples: Double(samples), metrics: metrics)
  }

  // MARK: Kept for the next job

  private func runner(for job: TrainerJob) throws -> StepRunner {
    guard let described = job.description.model.step else { throw OnnxError.task("the task has no model.step") }
    guard described.format == "onnx" else { throw OnnxError.task("model.step has the format \(described.format), not onnx") }
    let path = "\(job.folder.path)/\(described.file)"
    guard access(path, R_OK) == 0 else { throw OnnxError.step("is missing in the job's folder") }
    if let step, step.digest == described.blob { return step.runner }
    step = nil
    let runner = try StepRunner(try OnnxSession(path: path, threads: threads))
    step = (described.blob, runner)
    return runner
  }

  private func loadData(_ job: TrainerJob, _ step: StepDescription) throws -> DataSet {
    let configuration = try job.data(as: DataConfiguration.self)
    let source = Source(data: configuration, files: configuration.paths.map(identity))
    if data?.source != source {
      data = nil
      data = (source, try configuration.load())
    }
    guard let set = data?.set else { preconditionFailure("the data was just loaded") }
    let name = configuration.paths.first ?? "data"
    guard set.shape.count == step.input.reduce(1, *) else {
      throw ModelError.data(file: name, "its samples are \(set.shape), but the training step takes \(step.input)")
    }
    if let classes = job.description.model.classes, let wrong = set.labels.first(where: { $0 >= classes }) {
      throw ModelError.data(file: name, "it has a sample of class \(wrong), but the model's classes are 0 to \(classes - 1)")
    }
    return set
  }

  private func identity(of path: String) -> [Int] {
    var status = stat()
    return stat(path, &status) == 0 ? [Int(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec, Int(status.st_ino)] : []
  }
}
