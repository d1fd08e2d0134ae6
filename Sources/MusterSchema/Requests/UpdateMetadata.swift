/// The metadata of an update's safetensors header, decoded and range-checked. The ledger decides whether the update fits the round.
package struct UpdateMetadata: Hashable, Sendable {
  /// The task as written in the header. It is only compared, never used as an identifier.
  package var task: String
  package var round: String
  /// The model from which the training started.
  package var base: Digest
  /// Finite and above 0.
  package var weight: Double
  /// Number of devices behind the update; `nil` means one.
  package var count: Int?
  /// Whether the update holds differences from the base instead of parameters.
  package var isDelta: Bool
  package var encoding: String
  /// At most 64 finite numbers, with names of 1 to 64 bytes without control characters.
  package var metrics: [String: Double]

  /// - Parameter metadata: all metadata of the header.
  /// - Throws: 422 with the wrong member.
  package init(_ metadata: [String: String]) throws(Problem) {
    func value(_ name: String) throws(Problem) -> String {
      guard let text = metadata["muster.\(name)"] else { throw wrong("the metadata lacks muster.\(name)") }
      return text
    }
    task = try value("task")
    round = try value("round")
    guard let base = Digest(try value("base")) else { throw wrong("muster.base is not a digest") }
    self.base = base
    guard let weight = Double(try value("weight")) else { throw wrong("muster.weight is not a number") }
    self.weight = weight
    try Self.check(weight: weight)
    if let text = metadata["muster.count"] {
      guard let number = Bounds.count.read(text) else {
        throw wrong("muster.count must be a whole number from 0 to \(Bounds.count.range.upperBound)")
      }
      count = number
    }
    let content = metadata["muster.content"] ?? "parameters"
    guard content == "parameters" || content == "delta" else { throw wrong("muster.content must be parameters or delta") }
    isDelta = content == "delta"
    encoding = metadata["muster.encoding"] ?? "float32"
    metrics = [:]
    if let text = metadata["muster.metrics"] {
      // An object of 64 numbers with the longest names is far smaller than this limit.
      guard text.utf8.count <= 64 << 10 else { throw wrong("muster.metrics is too long") }
      do {
        metrics = try JSON.decode([String: Double].self, from: Array(text.utf8))
      } catch {
        throw wrong("muster.metrics is not a JSON object of numbers: \(JSON.explain(error, in: text.utf8))")
      }
    }
    try Self.check(metrics: metrics)
  }

  /// Limit of a metric's absolute value. No float32 loss is larger, and sums and squares of smaller values stay in the range of a double.
  package static let largestMetric = 1e100

  /// - Throws: 422 unless the weight is finite and above 0.
  package static func check(weight: Double) throws(Problem) {
    guard weight.isFinite, weight > 0 else { throw wrong("the weight must be a finite number above 0") }
  }

  /// - Throws: 422 for too many metrics, for names that are not safe in a log, and for numbers that are not finite or too large.
  package static func check(metrics: [String: Double]) throws(Problem) {
    guard metrics.count <= 64, metrics.keys.allSatisfy({ (1...64).contains($0.utf8.count) && $0 == $0.withoutControlCharacters }) else {
      throw wrong("there may be at most 64 metrics, with names of 1 to 64 bytes without control characters")
    }
    if let name = metrics.filter({ !$0.value.isFinite }).keys.min() { throw wrong("the metric \(name) is not a finite number") }
    if let (name, value) = metrics.filter({ abs($0.value) > largestMetric }).min(by: { $0.key < $1.key }) {
      throw wrong("the metric \(name) is \(value), but must be between -\(largestMetric) and \(largestMetric)")
    }
  }
}

private func wrong(_ detail: String) -> Problem { Problem(.invalidBody, detail) }
