/// The metric by which the models of a task are compared.
///
/// The stop rule, the best model for retention, `--round best` and the tables all use it, so that they agree.
package struct TaskMetric: Hashable, Sendable {
  package var name: String
  package var mode: MetricMode

  /// - Parameters:
  ///   - stop: the task's stop rule; its metric is used if an evaluation reports it.
  ///   - evaluations: the metrics of the evaluations so far. Otherwise accuracy is used, else loss, else the first metric by name whose
  ///     better direction is known.
  /// - Returns: `nil` if no comparable metric was reported.
  package init?(stop: StopSpecification?, in evaluations: [[String: Double]]) {
    let reported = evaluations.reduce(into: Set<String>()) { names, metrics in
      for (name, value) in metrics where value.isFinite { names.insert(name) }
    }
    self.init(stop: stop, reported: reported)
  }

  /// - Parameter reported: names of the metrics in the evaluations so far.
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
  /// The best model of a task, the first of equally good ones; `nil` if none was evaluated.
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
  /// The metrics of all evaluations of the model: central's value of a metric, else the devices'. `nil` if there was no evaluation.
  package var evaluation: [String: Double]? { merged(metrics, deviceMetrics) }
}

extension RoundRecord {
  /// See ``ModelCheckpoint/evaluation``.
  package var evaluation: [String: Double]? { merged(metrics, deviceMetrics) }
}

func merged(_ central: [String: Double]?, _ devices: [String: Double]?) -> [String: Double]? {
  let all = (central ?? [:]).merging(devices ?? [:]) { own, _ in own }
  return all.isEmpty ? nil : all
}
