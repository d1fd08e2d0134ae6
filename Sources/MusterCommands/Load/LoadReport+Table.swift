import MusterLoad
import MusterSchema

extension LoadReport {
  /// The report as text for people: a table of the rounds, a table of the processes, and sentences around them.
  func lines(ink: Ink) -> [String] {
    var lines = [
      ink.bold(
        "\(Words.count(devices, "device")) in \(Words.count(regions, "region")), \(cohort) in a round, uploads to \(uploadTarget)")
    ]
    lines.append("connected after \(Words.number(connectSeconds, digits: 1)) s")
    if let descriptor {
      lines.append("\(descriptor.count) devices had the task's descriptor after \(Self.spread(descriptor)) s (50 %, 95 %, 99 %, all)")
    }
    if let roundSeconds { lines.append("a round took \(Self.spread(roundSeconds)) s (50 %, 95 %, 99 %, the longest)") }
    lines += [""] + roundTable.lines(ink: ink)
    lines += [""] + processTable.lines(ink: ink)
    let troubles = refusals.map { "\($0.status.map { "\($0) " } ?? "")\($0.code): \($0.count)" }
    lines += ["", troubles.isEmpty ? "no request was refused" : "refused or failed requests: \(troubles.joined(separator: ", "))"]
    if lostConnections > 0 { lines.append("lost MQTT connections: \(lostConnections)") }
    return lines
  }

  private var uploadTarget: String { upload == .central ? "central" : "the regions, which aggregate" }

  private static func spread(_ percentiles: Percentiles) -> String {
    [percentiles.p50, percentiles.p95, percentiles.p99, percentiles.max].map { Words.number($0, digits: 2) }.joined(separator: " ")
  }

  private var roundTable: Table {
    let columns: [Table.Column] = [
      .number("ROUND"), .number("SECONDS"), .number("ATTEMPTS"), .number("COUNTED"), .number("INVITATIONS"), .number("REPEATED"),
      .number("LOST"), .number("REFUSED"), .number("INVITING"), .number("TO 201: 50 %"), .number("95 %"), .number("99 %"),
      .number("MAX"), .number("CLOSING"),
    ]
    var rows = rounds.map { round in
      [
        "\(round.round)", Self.cell(round.seconds), round.attempts.map { "\($0)" } ?? "-", "\(round.counted)", "\(round.invitations)",
        "\(round.repeated)", "\(round.lost)", "\(round.refusals.reduce(0) { $0 + $1.count })", Self.cell(round.inviting?.max),
      ] + Self.cells(round.delivery) + [Self.cell(round.closing)]
    }
    let seconds = rounds.compactMap(\.seconds).reduce(0, +)
    rows.append(
      [
        "all", Self.cell(seconds), total { $0.attempts ?? 0 }, total(\.counted), total(\.invitations), total(\.repeated), total(\.lost),
        "\(refusals.reduce(0) { $0 + $1.count })", "",
      ] + Self.cells(delivery) + [""])
    return Table(columns: columns, rows: rows)
  }

  private func total(_ count: (Round) -> Int) -> String { "\(rounds.reduce(0) { $0 + count($1) })" }

  private static func cells(_ percentiles: Percentiles?) -> [String] {
    [percentiles?.p50, percentiles?.p95, percentiles?.p99, percentiles?.max].map(cell)
  }

  private static func cell(_ seconds: Double?) -> String { seconds.map { Words.number($0, digits: 2) } ?? "-" }

  private var processTable: Table {
    let columns: [Table.Column] = [
      "PROCESS", .number("MS PER DEVICE: CONNECT"), .number("PUSH"), .number("ROUND"), .number("MEMORY"), .number("PEAK"),
    ]
    return Table(
      columns: columns,
      rows: processes.map { process in
        [
          process.name, Words.number(process.connecting, digits: 2), Words.number(process.describing, digits: 2),
          Words.number(process.round, digits: 2), Words.bytes(process.residentBytes), Words.bytes(process.peakBytes),
        ]
      })
  }
}
