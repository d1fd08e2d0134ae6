import MusterSchema

/// Follows a task to its end: redraws on a terminal, prints a line a change elsewhere.
struct TaskWatcher {
  var client: OpsClient
  var task: TaskID
  var format: OutputFormat
  /// How often central is asked.
  var interval: Duration = .milliseconds(250)
  /// How long central may be away before the watcher gives up: a restart is no reason to.
  var patience: Duration = .seconds(120)

  /// - Returns: the task as it ended, completed.
  /// - Throws: ``CommandError`` with exit code 5 when the task failed or was cancelled.
  @discardableResult
  func run() async throws -> TaskDetail {
    let terminal = Terminal.output
    var canvas = Canvas()
    var changes = WatchLines()
    var last: TaskDetail?
    while true {
      let detail = try await ask(after: last)
      last = detail
      switch format {
      case .json:
        if changes.isNew(detail) { try Console.show(jsonLine: detail.now) }
      case .table where terminal.isTerminal:
        let nodes = detail.now.step.isFinal ? [] : await devices()
        try canvas.draw(WatchView(detail: detail, nodes: nodes).lines(width: terminal.width, ink: Ink(terminal)), width: terminal.width)
      case .table:
        for line in changes.lines(detail) { try Console.print("\(Words.now)  \(line)") }
      }
      if detail.now.step.isFinal {
        guard detail.now.step == .completed else {
          let reason = detail.now.reason.isEmpty ? "" : ": \(detail.now.reason)"
          throw CommandError(.taskFailed, "task \(task) \(detail.now.step.rawValue)\(reason)")
        }
        return detail
      }
      try await Task.sleep(for: interval)
    }
  }

  /// A first silence is an error at once; later ones are waited out.
  private func ask(after last: TaskDetail?) async throws -> TaskDetail {
    let start = ContinuousClock.now
    var hasComplained = false
    while true {
      do throws(CommandError) {
        return try await look(after: last)
      } catch {
        guard last != nil, error.exit == .unreachable, .now - start < patience else { throw error }
        if !hasComplained { Console.note("muster: \(error). Asking again") }
        hasComplained = true
      }
      try await Task.sleep(for: .milliseconds(500))
    }
  }

  /// What happens now; the rounds are asked for again when one may have ended.
  private func look(after last: TaskDetail?) async throws(CommandError) -> TaskDetail {
    if var detail = last {
      let (round, step) = (detail.now.round, detail.now.step)
      detail.now = try await client.now(task)
      if detail.now.round == round, detail.now.step == step { return detail }
    }
    return try await client.task(task, lastRounds: Self.shownRounds)
  }

  /// As many as a line of a metric over time shows, and more than end between two looks.
  private static let shownRounds = 50

  /// The devices are an extra: when central cannot say, the picture goes without.
  private func devices() async -> [NodeSummary] {
    do {
      return try await client.nodes()
    } catch {
      return []
    }
  }
}

/// A block of lines at the bottom of the terminal that is drawn over.
struct Canvas {
  private var height = 0

  mutating func draw(_ lines: [String], width: Int) throws(CommandError) {
    var text = height > 0 ? "\u{1B}[\(height)A" : ""
    for line in lines { text += "\r\(line.cut(to: max(20, width)))\u{1B}[K\n" }
    // What an earlier, taller picture left below.
    text += "\u{1B}[J"
    height = lines.count
    try Console.write(text)
  }
}

/// What changed since the last look, a line each.
struct WatchLines {
  private var key: [String] = []
  private var closed = 0

  /// Whether anything but a countdown changed.
  mutating func isNew(_ detail: TaskDetail) -> Bool {
    let now = detail.now
    let next = [now.step.rawValue, "\(now.round)", "\(now.attempt)", "\(now.have)/\(now.needed)"]
    defer { key = next }
    return key != next
  }

  mutating func lines(_ detail: TaskDetail) -> [String] {
    let now = detail.now
    var lines: [String] = []
    let ended = detail.roundsEnded
    for record in detail.rounds.suffix(max(0, ended - closed)) {
      let metrics = record.evaluation ?? [:]
      let updates = record.updates.count { $0.fate == .counted }
      let parts = [
        "round \(record.round)/\(now.rounds)", record.result == nil ? "ended" : "closed", Words.count(updates, "update"),
        Words.seconds(record.seconds),
      ]
      lines.append((parts + Words.metrics(metrics, first: detail.summary.metric)).joined(separator: "  "))
    }
    closed = max(closed, ended)
    guard isNew(detail) else { return lines }
    if now.step.isFinal {
      let parts = [now.step.rawValue] + Words.metrics(now.metrics ?? [:], first: detail.summary.metric) + [now.reason]
      lines.append(parts.filter { !$0.isEmpty }.joined(separator: "  "))
    } else {
      // While recruiting, the reason already says how many devices are ready.
      let parts = ["round \(now.round)/\(now.rounds)", now.step.rawValue, now.step == .recruiting ? "" : now.counts(), now.reason]
      lines.append(parts.filter { !$0.isEmpty }.joined(separator: "  "))
    }
    return lines
  }
}
