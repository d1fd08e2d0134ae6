import MusterSchema

// The rows of the tables. JSON output is the schema's own payload, unchanged.

extension TaskSummary: Tabular {
  static var columns: [Table.Column] { ["TASK", "STATE", .number("ROUND"), "METRICS", "REGIONS", "WHY"] }

  var row: [String] {
    let shown = Words.metrics(metrics ?? [:], first: metric).prefix(2).joined(separator: ", ")
    return [
      task.rawValue, step.rawValue, "\(round)/\(rounds)", shown.isEmpty ? "-" : shown,
      regions.map(\.rawValue).joined(separator: ","), step.reason(in: why),
    ]
  }
}

extension Table {
  /// A table of a task's rounds with their evaluations. If central and devices both evaluate, the column `ON DEVICES` shows the devices'
  /// value of the task's metric.
  static func rounds(_ picture: TaskPicture) -> Table {
    let (rounds, metric) = (picture.rounds, picture.detail.summary.metric)
    let metrics = MetricColumns(rounds.map(\.evaluation), first: metric)
    let both = rounds.contains { $0.metrics?.isEmpty == false } && rounds.contains { $0.deviceMetrics?.isEmpty == false }
    let own = metric ?? metrics.names.first
    var columns: [Column] = [.number("ROUND"), .number("UPDATES"), .number("SAMPLES")]
    columns += metrics.columns
    if both { columns.append(.number("ON DEVICES")) }
    columns += [.number("SECONDS"), .number("ATTEMPTS"), "MISSED"]
    let rows = rounds.map { record in
      let devices = own.flatMap { record.deviceMetrics?[$0] }.map(Words.measure) ?? "-"
      var cells = record.cells.work + metrics.cells(record.evaluation)
      if both { cells.append(devices) }
      return cells + record.cells.rest
    }
    return Table(columns: columns, rows: rows)
  }

  /// A table of a task's models with their evaluations.
  static func models(_ models: [ModelCheckpoint], metric: String? = nil) -> Table {
    let metrics = MetricColumns(models.map(\.evaluation), first: metric)
    var columns: [Column] = [.number("ROUND")]
    columns += metrics.columns
    columns += [.number("SIZE"), "KEPT", "DIGEST"]
    let rows = models.map { model in
      ["\(model.round)"] + metrics.cells(model.evaluation)
        + [Words.bytes(model.bytes), model.kept ? "yes" : "no", model.digest.description]
    }
    return Table(columns: columns, rows: rows)
  }
}

/// The metric columns of a table, one for each metric that evaluations report.
struct MetricColumns: Hashable, Sendable {
  /// The largest number of columns that fit on a line.
  static let limit = 4

  let names: [String]

  init(_ evaluations: [[String: Double]?], first: String?) {
    names = Array(Words.sorted(evaluations.compactMap { $0 }.flatMap(\.keys), first: first).prefix(Self.limit))
  }

  var columns: [Table.Column] { names.map { .number($0.withoutEscapes.uppercased()) } }
  func cells(_ metrics: [String: Double]?) -> [String] { names.map { metrics?[$0].map(Words.measure) ?? "-" } }
}

extension RoundSummary {
  /// The cells before the metrics, and the cells after them.
  fileprivate var cells: (work: [String], rest: [String]) {
    let samples = updates.samples
    let work = [
      "\(round)", updates.counted == updates.accepted ? "\(updates.devices)" : "\(updates.countedDevices) of \(updates.devices)",
      Words.number(samples, digits: samples == samples.rounded() ? 0 : 1),
    ]
    let more = missing > missed.count ? ["\(missing - missed.count) more"] : []
    let names = (missed.map { "\($0.node): \($0.reason)" } + more).joined(separator: "; ")
    return (work, [Words.number(seconds, digits: 1), "\(attempts)", names])
  }
}

extension RegionSummary: Tabular {
  static var columns: [Table.Column] { ["REGION", "STATE", "DECLARED", "DATA", "TASKS"] }

  var row: [String] {
    [
      region.rawValue, presence(online, silentSeconds, since, reason), declared ? "yes" : "no: not in central's configuration", data ?? "-",
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
      path.description, presence(state.online, silentSeconds, since, state.reason), resources?.cores.map { "\($0)" } ?? "-",
      resources?.load.map { Words.number($0, digits: 2) } ?? "-", resources?.memoryMiB.map { "\($0) MiB" } ?? "-",
      resources?.diskMiB.map { "\($0) MiB" } ?? "-", resources?.battery.map { "\($0) %" } ?? "-",
      (state.labels ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ","),
      Self.trainers(state.capabilities), tasks.map { "\($0.task): \(Timeline.brief($0))" }.joined(separator: "; "),
    ]
  }

  /// For example `built-in 0.1.0 (softmax, mlp, lenet5); mine`.
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

/// For example `offline since 2026-11-29 08:13:14 UTC, connection lost`, or `silent for 3 min` when the broker still has the node as online
/// but the node does not answer.
private func presence(_ online: Bool, _ silentSeconds: Double?, _ since: WallTime?, _ reason: String?) -> String {
  guard online else { return "offline" + (since.map { " since \($0.words)" } ?? "") + (reason.map { ", \($0)" } ?? "") }
  guard let silentSeconds, silentSeconds.isFinite else { return "online" }
  let seconds = min(max(silentSeconds, 0), 1e9)
  return seconds < 120 ? "silent for \(Int(seconds)) s" : "silent for \(Int(seconds / 60)) min"
}

extension Console {
  /// Shows one payload: an object in JSON, or a table with one row.
  @inline(never)
  static func show<T: Tabular>(one item: T, as format: OutputFormat) throws {
    switch format {
    case .json: try show(json: item)
    case .table: try show([item], as: .table)
    }
  }
}
