/// The metric by which a task's models are compared. The rule that stops the task, what retention keeps as the best model, `--round best` and
/// the tables all ask here, so that they mean the same.
package struct TaskMetric: Hashable, Sendable {
  package var name: String
  package var mode: MetricMode

  /// - Parameters:
  ///   - stop: of the task: its metric, if an evaluation reports it.
  ///   - evaluations: what evaluations said so far. Without a stop metric among them it is accuracy, else loss, else the first by name that is
  ///     known to be better one way.
  /// - Returns: nil when nothing comparable was reported.
  package init?(stop: StopSpecification?, in evaluations: [[String: Double]]) {
    let reported = evaluations.reduce(into: Set<String>()) { names, metrics in
      for (name, value) in metrics where value.isFinite { names.insert(name) }
    }
    self.init(stop: stop, reported: reported)
  }

  /// - Parameter reported: names of the metrics that evaluations reported so far.
  package init?(stop: StopSpecification?, reported: Set<String>) {
    if let stop, reported.contains(stop.metric) {
      (name, mode) = (stop.metric, stop.direction)
      return
    }
    for name in ["accuracy", "loss"] + reported.sorted() where reported.contains(name) {
      guard let mode = MetricMode.known(name) else { continue }
      (self.name, self.mode) = (name, mode)
      return
    }
    return nil
  }
}

extension TaskMetric {
  /// The best of a task's models, of equal ones the first; nil when none was evaluated.
  package static func best(of models: [ModelCheckpoint], stop: StopSpecification?) -> ModelCheckpoint? {
    guard let metric = TaskMetric(stop: stop, in: models.compactMap(\.evaluation)) else { return nil }
    var best: (model: ModelCheckpoint, value: Double)?
    for model in models {
      guard let value = model.evaluation?[metric.name], value.isFinite else { continue }
      if best.map({ metric.mode.isBetter(value, than: $0.value) }) ?? true { best = (model, value) }
    }
    return best?.model
  }
}

extension ModelCheckpoint {
  /// What the model's evaluations say: of each metric central's number, else the devices'. Nil when nobody measured anything.
  package var evaluation: [String: Double]? { merged(metrics, deviceMetrics) }
}

extension RoundRecord {
  /// As ``ModelCheckpoint/evaluation``.
  package var evaluation: [String: Double]? { merged(metrics, deviceMetrics) }
}

func merged(_ central: [String: Double]?, _ devices: [String: Double]?) -> [String: Double]? {
  let all = (central ?? [:]).merging(devices ?? [:]) { own, _ in own }
  return all.isEmpty ? nil : all
}
