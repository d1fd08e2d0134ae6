/// The better direction of a metric: `min` if lower is better, `max` if higher is better.
package enum MetricMode: String, Codable, Hashable, Sendable, CaseIterable {
  case min, max

  package func isBetter(_ value: Double, than other: Double) -> Bool { self == .min ? value < other : value > other }

  /// Whether the value is at least as good as the goal.
  package func isReached(_ goal: Double, by value: Double) -> Bool { self == .min ? value <= goal : value >= goal }

  /// The mode of a metric with a common name; `nil` for any other name, for which a task has to state the mode.
  ///
  /// Case, spaces and `_ - @ / : .` are ignored, and so is a leading `val`, `valid`, `validation`, `test`, `eval` or `train`: `val_loss` is
  /// `loss`.
  package static func known(_ metric: String) -> MetricMode? {
    let words = metric.lowercased().split { "_-@/:. ".contains($0) }
    let named = words.count > 1 && splits.contains(words[0]) ? words.dropFirst() : words[...]
    let name = named.joined()
    return lower.contains(name) ? .min : higher.contains(name) ? .max : nil
  }

  private static let splits: Set<Substring> = ["val", "valid", "validation", "test", "eval", "train"]

  /// Names of metrics that are better when lower.
  package static let lower: Set<String> = [
    "loss", "logloss", "crossentropy", "nll", "perplexity", "ppl", "error", "errorrate", "mse", "rmse", "mae", "mape", "smape", "msle",
    "rmsle", "wer", "cer", "ter", "eer", "fid", "brier", "ece", "initialloss",
  ]

  /// Names of metrics that are better when higher.
  package static let higher: Set<String> = [
    "accuracy", "acc", "top1", "top5", "top1accuracy", "top5accuracy", "balancedaccuracy", "recall", "precision", "sensitivity",
    "specificity", "f1", "f1score", "macrof1", "microf1", "fbeta", "auc", "rocauc", "auroc", "prauc", "auprc", "averageprecision", "ap",
    "map", "map50", "map75", "map5095", "iou", "miou", "dice", "jaccard", "r2", "r2score", "kappa", "mcc", "bleu", "rouge", "psnr", "ssim",
    "ndcg", "mrr", "hitrate",
  ]
}
