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
  func run() async throws -> TaskPicture {
    let terminal = Terminal.output
    var canvas = Canvas()
    var changes = WatchLines()
    var last: TaskPicture?
    while true {
      let picture = try await ask(after: last)
      let detail = picture.detail
      last = picture
      switch format {
      case .json:
        if changes.isNew(detail) { try Console.show(jsonLine: detail.now) }
      case .table where terminal.isTerminal:
        let nodes = detail.now.step.isFinal ? [] : await devices()
        try canvas.draw(WatchView(picture: picture, nodes: nodes).lines(width: terminal.width, ink: Ink(terminal)), width: terminal.width)
      case .table:
        for line in changes.lines(picture) { try Console.print("\(Words.now)  \(line)") }
      }
      if detail.now.step.isFinal {
        guard detail.now.step == .completed else {
          let reason = detail.now.reason.isEmpty ? "" : ": \(detail.now.reason)"
          throw CommandError(.taskFailed, "task \(task) \(detail.now.step.rawValue)\(reason)")
        }
        return picture
      }
      try await Task.sleep(for: interval)
    }
  }

  /// A first silence is an error at once; later ones are waited out.
  private func ask(after last: TaskPicture?) async throws -> TaskPicture {
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
  private func look(after last: TaskPicture?) async throws(CommandError) -> TaskPicture {
    if var picture = last {
      let (round, step) = (picture.detail.now.round, picture.detail.now.step)
      picture.detail.now = try await client.now(task)
      if picture.detail.now.round == round, picture.detail.now.step == step { return picture }
    }
    return try await client.picture(task, lastRounds: Self.shownRounds)
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
  /// The last round that a line told of.
  private var closed = 0

  /// Whether anything but a countdown changed.
  mutating func isNew(_ detail: TaskDetail) -> Bool {
    let now = detail.now
    let next = [now.step.rawValue, "\(now.round)", "\(now.attempt)", "\(now.have)/\(now.needed)"]
    defer { key = next }
    return key != next
  }

  mutating func lines(_ picture: TaskPicture) -> [String] {
    let (detail, now) = (picture.detail, picture.detail.now)
    var lines: [String] = []
    for record in picture.rounds where record.round > closed {
      let metrics = record.evaluation ?? [:]
      let parts = [
        "round \(record.round)/\(now.rounds)", record.result == nil ? "ended" : "closed", Words.count(record.updates.counted, "update"),
        Words.seconds(record.seconds),
      ]
      lines.append((parts + Words.metrics(metrics, first: detail.summary.metric)).joined(separator: "  "))
    }
    closed = max(closed, picture.rounds.last?.round ?? 0)
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
