import MusterSchema

// The rows of the tables. What stands in JSON is the schema's own payload, untouched.

extension TaskSummary: Tabular {
  static var columns: [Table.Column] { ["TASK", "STATE", .number("ROUND"), .number("LOSS"), .number("ACCURACY"), "REGIONS", "WHY"] }

  var row: [String] {
    [
      task.rawValue, step.rawValue, "\(round)/\(rounds)", cell(metrics, "loss"), cell(metrics, "accuracy"),
      regions.map(\.rawValue).joined(separator: ","), step.reason(in: why),
    ]
  }
}

extension RoundRecord: Tabular {
  static var columns: [Table.Column] {
    [
      .number("ROUND"), .number("UPDATES"), .number("SAMPLES"), .number("LOSS"), .number("ACCURACY"), .number("ON DEVICES"),
      .number("SECONDS"), .number("ATTEMPTS"), "MISSED",
    ]
  }

  var row: [String] {
    let counted = updates.filter { $0.fate == .counted }
    let devices = counted.reduce(0) { $0 + $1.devices }
    let samples = counted.reduce(0) { $0 + $1.weight }
    return [
      "\(round)", counted.count == updates.count ? "\(devices)" : "\(devices) of \(updates.reduce(0) { $0 + $1.devices })",
      Words.number(samples, digits: samples == samples.rounded() ? 0 : 1), cell(metrics, "loss"), cell(metrics, "accuracy"),
      cell(deviceMetrics, "accuracy"), Words.number(seconds, digits: 1), "\(attempts)",
      missed.map { "\($0.node): \($0.reason)" }.joined(separator: "; "),
    ]
  }
}

extension ModelCheckpoint: Tabular {
  static var columns: [Table.Column] { [.number("ROUND"), .number("LOSS"), .number("ACCURACY"), .number("SIZE"), "KEPT", "DIGEST"] }

  var row: [String] {
    ["\(round)", cell(metrics, "loss"), cell(metrics, "accuracy"), Words.bytes(bytes), kept ? "yes" : "no", digest.description]
  }
}

extension RegionSummary: Tabular {
  static var columns: [Table.Column] { ["REGION", "STATE", "DECLARED", "DATA", "TASKS"] }

  var row: [String] {
    [
      region.rawValue, online ? "online" : "offline", declared ? "yes" : "no: not in central's configuration", data ?? "-",
      tasks.map { "\($0.task): \(Timeline.brief($0))" }.joined(separator: "; "),
    ]
  }
}

extension NodeSummary: Tabular {
  static var columns: [Table.Column] {
    [
      "NODE", "STATE", .number("CORES"), .number("LOAD"), .number("MEMORY"), .number("DISK"), .number("BATTERY"), "LABELS", "TRAINERS",
      "TASKS",
    ]
  }

  var row: [String] {
    let resources = state.resources
    return [
      path.description, state.online ? "online" : "offline", resources?.cores.map { "\($0)" } ?? "-",
      resources?.load.map { Words.number($0, digits: 2) } ?? "-", resources?.memoryMiB.map { "\($0) MiB" } ?? "-",
      resources?.diskMiB.map { "\($0) MiB" } ?? "-", resources?.battery.map { "\($0) %" } ?? "-",
      (state.labels ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ","),
      Self.trainers(state.capabilities), tasks.map { "\($0.task): \(Timeline.brief($0))" }.joined(separator: "; "),
    ]
  }

  /// `built-in 0.1.0 (softmax, mlp, lenet5); mine`
  static func trainers(_ capabilities: Capabilities?) -> String {
    guard let capabilities else { return "-" }
    return capabilities.trainers.sorted().map { name in
      let version = capabilities.versions?[name].map { " \($0)" } ?? ""
      return "\(name)\(version)\(capabilities.models?[name].map { " (\($0.joined(separator: ", ")))" } ?? "")"
    }.joined(separator: "; ")
  }
}

extension Waiting: Tabular {
  static var columns: [Table.Column] { ["NODE", "REASON"] }
  var row: [String] { [node, reason] }
}

private func cell(_ metrics: [String: Double]?, _ name: String) -> String {
  metrics?[name].map { Words.number($0, digits: 4) } ?? "-"
}

extension Console {
  /// One payload: an object in JSON, a table of one row for people.
  @inline(never)
  static func show<T: Tabular>(one item: T, as format: OutputFormat) throws {
    switch format {
    case .json: try show(json: item)
    case .table: try show([item], as: .table)
    }
  }
}
