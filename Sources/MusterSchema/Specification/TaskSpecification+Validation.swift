internal import FoundationEssentials

/// One error in a task, with its field.
package struct FieldProblem: Codable, Hashable, Sendable, CustomStringConvertible {
  /// The field's name in the task file: `cohort.size`.
  package var field: String
  package var message: String
  /// Where the field stands in the text that was sent; both count from 1. `nil` when the text is not known.
  package var line: Int?
  package var column: Int?

  package init(field: String, message: String, line: Int? = nil, column: Int? = nil) {
    self.field = field
    self.message = message
    self.line = line
    self.column = column
  }

  package var description: String { field.isEmpty ? message : "\(field): \(message)" }
}

extension TaskSpecification {
  /// Reads a task in JSON that a person wrote: unknown fields are errors.
  package init(strictJSON bytes: some Sequence<UInt8>) throws(FieldProblem.List) {
    let decoder = JSONDecoder()
    decoder.userInfo[.strictFields] = true
    do {
      let data = Data(bytes)
      try JSON.requireShortTexts(data)
      try JSON.requireDistinctNames(data)
      self = try decoder.decode(TaskSpecification.self, from: data)
    } catch {
      throw FieldProblem.List([FieldProblem(field: "", message: JSON.explain(error, in: bytes))])
    }
  }

  /// Limit of the JSON of `model.options` and `local.options` together, because both are part of the descriptor.
  package static let maximumOptionBytes = 1024

  private var optionBytes: Int {
    // Options that were decoded from JSON can be encoded again.
    [model.options, local.options].reduce(0) { sum, options in
      sum + (options.map { options in (try? JSON.encode(options).count) ?? Self.maximumOptionBytes + 1 } ?? 0)
    }
  }

  /// All errors of the task that can be found without central, in the order of the file.
  ///
  /// Central also checks whether it knows the regions, trainers and strategies.
  package func problems() -> [FieldProblem] {
    var problems: [FieldProblem] = []
    func check(_ holds: Bool, _ field: String, _ message: @autoclosure () -> String) {
      if !holds { problems.append(FieldProblem(field: field, message: message())) }
    }
    func finite(_ value: Double, _ range: ClosedRange<Double>) -> Bool { value.isFinite && range.contains(value) }

    check((1...100).contains(name.count) && name.withoutControlCharacters == name, "name", "must be 1 to 100 printable characters")
    check((1...63).contains(model.type.utf8.count), "model.type", "must be 1 to 63 bytes long")
    if let input = model.input {
      check(
        (1...4).contains(input.count) && input.allSatisfy { (1...1_000_000).contains($0) }, "model.input",
        "must be 1 to 4 sizes, each between 1 and 1000000")
      check(
        input.reduce(1.0) { $0 * Double($1) } <= 1e9, "model.input",
        "must not make samples of more than 1000000000 numbers, got \(input.map(String.init).joined(separator: " × "))")
    }
    if let classes = model.classes {
      check((2...1_000_000).contains(classes), "model.classes", "must be between 2 and 1000000, got \(classes)")
    }
    if let hidden = model.hidden {
      check(
        hidden.count <= 32 && hidden.allSatisfy { (1...1_000_000).contains($0) }, "model.hidden",
        "must be at most 32 widths, each between 1 and 1000000")
    }
    if let step = model.step {
      check(
        TrainingStep.formats.contains(step.format), "model.step.format",
        "unknown format \"\(step.format.shown(60))\"; known formats: \(TrainingStep.formats.joined(separator: ", "))")
      check(
        step.bytes.map { $0 > 0 && Bounds.bytes.contains($0) } ?? true, "model.step.bytes",
        "must be between 1 and \(Bounds.bytes.range.upperBound)")
    }
    if let problem = trainer.problem { check(false, "trainer", problem) }
    check(!regions.isEmpty, "regions", "must name at least one region (or use --region)")
    check(Set(regions).count == regions.count, "regions", "names a region twice")
    check(!regions.contains(.central), "regions", "names \(NodeID.central), which is not a region")
    check(regions.count <= 64, "regions", "names \(regions.count) regions, but at most 64 fit into a descriptor")
    if let selector = self.where {
      do { _ = try LabelSelector(selector) } catch { check(false, "where", "\(error)") }
    }
    if let requires {
      check(requires.maxLoad.map { finite($0, 0...100_000) } ?? true, "requires.maxLoad", "must be between 0 and 100000")
      check(requires.minBattery.map { (0...100).contains($0) } ?? true, "requires.minBattery", "must be between 0 and 100")
      for (field, value) in [("memoryMiB", requires.memoryMiB), ("diskMiB", requires.diskMiB), ("cores", requires.cores)] {
        check(Bounds.count.contains(value ?? 0), "requires.\(field)", "must be between 0 and \(Bounds.count.range.upperBound)")
      }
    }
    check((1...100_000).contains(rounds), "rounds", "must be between 1 and 100000, got \(rounds)")
    check((1...100_000).contains(cohort.size), "cohort.size", "must be between 1 and 100000, got \(cohort.size)")
    check(
      (1...max(1, cohort.size)).contains(cohort.minimum), "cohort.minimum",
      "must be between 1 and cohort.size (\(cohort.size)), got \(cohort.minimum)")
    check(finite(cohort.ready, 0...1), "cohort.ready", "must be between 0 and 1, got \(cohort.ready)")
    check(finite(cohort.over, 1...10), "cohort.over", "must be between 1 and 10, got \(cohort.over)")
    check(finite(cohort.seconds, 1...2_592_000), "cohort.seconds", "must be between 1 and 2592000 (30 days), got \(cohort.seconds)")
    check((0...100_000).contains(local.epochs), "local.epochs", "must be between 0 and 100000, got \(local.epochs)")
    check((1...1_000_000).contains(local.batch), "local.batch", "must be between 1 and 1000000, got \(local.batch)")
    check(finite(local.rate, 0...1e6), "local.rate", "must be between 0 and 1000000, got \(local.rate)")
    check(finite(local.momentum, 0...0.999_999), "local.momentum", "must be between 0 and 0.999999, got \(local.momentum)")
    check(finite(local.weightDecay, 0...1e6), "local.weightDecay", "must be between 0 and 1000000, got \(local.weightDecay)")
    check(finite(local.proximal, 0...1e6), "local.proximal", "must be between 0 and 1000000, got \(local.proximal)")
    check(
      optionBytes <= Self.maximumOptionBytes, local.options == nil ? "model.options" : "local.options",
      "model.options and local.options may have at most \(Self.maximumOptionBytes) bytes of JSON together, got \(optionBytes)")
    check((0...100_000).contains(evaluate.every), "evaluate.every", "must be between 0 (never) and 100000, got \(evaluate.every)")
    check(finite(evaluate.seconds, 1...2_592_000), "evaluate.seconds", "must be between 1 and 2592000 (30 days), got \(evaluate.seconds)")
    if let stop {
      check((1...63).contains(stop.metric.utf8.count), "stop.metric", "must be 1 to 63 bytes long")
      check(
        stop.metric.isEmpty || stop.mode != nil || MetricMode.known(stop.metric) != nil, "stop.mode",
        "is required: it is not known whether \"\(stop.metric.shown(60))\" is better when it is lower (min) or higher (max)")
      check(stop.at?.isFinite ?? true, "stop.at", "must be a finite number")
      check(stop.at != nil || stop.patience != nil, "stop", "needs `at` or `patience`")
      check(stop.patience.map { $0 >= 1 } ?? true, "stop.patience", "must be at least 1")
      check(evaluate.every > 0, "stop", "needs evaluations, but evaluate.every is 0")
    }
    if let problem = encoding.problem { check(false, "encoding", problem) }
    check(!shared.isEmpty && shared.count <= 64, "shared", "must name 1 to 64 layers; \"*\" stands for all")
    check(finite(maximumWeight, 1e-9...1e15), "maximumWeight", "must be between 1e-9 and 1e15, got \(maximumWeight)")
    check((0...1_000_000).contains(keep.updates), "keep.updates", "must be between 0 and 1000000, got \(keep.updates)")
    check((1...1_000_000).contains(keep.checkpoints), "keep.checkpoints", "must be between 1 and 1000000, got \(keep.checkpoints)")
    check((1...1000).contains(maxAttempts), "maxAttempts", "must be between 1 and 1000, got \(maxAttempts)")
    check(finite(validSeconds, 1...31_536_000), "validSeconds", "must be between 1 and 31536000 (a year), got \(validSeconds)")
    return problems
  }
}

extension FieldProblem {
  /// All errors that make a task unusable.
  package struct List: Error, Hashable, Sendable, CustomStringConvertible {
    package let problems: [FieldProblem]

    package init(_ problems: [FieldProblem]) { self.problems = problems }
    package var description: String { problems.map(\.description).joined(separator: "; ") }
  }
}
