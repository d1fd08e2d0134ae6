import MusterSchema

/// Follows a task to its end. Redraws a picture on a terminal, and prints a line for each change elsewhere.
struct TaskWatcher {
  var client: OpsClient
  var task: TaskID
  var format: OutputFormat
  /// The time for which central may be unreachable before the watcher gives up. It is long enough for a restart.
  var patience: Duration = .seconds(120)

  /// The number of rounds to show, which is what the line of a metric over time can hold.
  static let shownRounds = 50

  /// Runs until the task has ended.
  ///
  /// - Returns: the completed task.
  /// - Throws: ``CommandError`` with exit code 5 when the task failed or was cancelled. If central cannot be reached at the beginning, the
  ///   error is thrown at once.
  @discardableResult
  func run() async throws -> TaskPicture {
    var screen = WatchScreen(client: client, format: format)
    var picture = try await client.picture(task, lastRounds: Self.shownRounds)
    try await screen.show(picture)
    let (inputs, feed) = AsyncStream.makeStream(of: Input.self)
    try await withThrowingTaskGroup(of: Void.self) { group in
      defer { group.cancelAll() }
      group.addTask { await follow(feed) }
      if screen.isAlive { group.addTask { await tick(feed) } }
      for await input in inputs where !picture.detail.now.step.isFinal {
        switch input {
        case .tick: break
        case .news(.snapshot(let now, _)):
          // Rounds may have ended before this snapshot.
          picture = try await client.picture(task, lastRounds: Self.shownRounds)
          if picture.detail.now.round <= now.round { picture.detail.now = now }
        case .news(.now(let now)): picture.detail.now = now
        case .news(.record(let event, _)):
          guard picture.add(event) else { continue }
        case .failed(let error): throw error
        }
        try await screen.show(picture)
        if picture.detail.now.step.isFinal { feed.finish() }
      }
    }
    let now = picture.detail.now
    guard now.step == .completed else {
      let reason = now.reason.isEmpty ? "" : ": \(now.reason)"
      throw CommandError(.taskFailed, "task \(task) \(now.step.rawValue)\(reason)")
    }
    return try await client.picture(task, lastRounds: Self.shownRounds)
  }

  private enum Input: Sendable {
    case news(TaskNews)
    /// One second has passed.
    case tick
    case failed(CommandError)
  }

  /// Passes central's events on, and connects again when the connection was lost.
  private func follow(_ feed: AsyncStream<Input>.Continuation) async {
    var last: String?
    var silence: ContinuousClock.Instant?
    while !Task.isCancelled {
      var why: CommandError?
      do {
        for try await news in client.news(of: task, after: last) {
          (last, silence) = (news.id ?? last, nil)
          feed.yield(.news(news))
        }
      } catch let error as CommandError {
        why = error
      } catch {
        why = CommandError(.unexpected, "\(error)")
      }
      if Task.isCancelled { return }
      if let why, why.exit != .unreachable || silence.map({ .now - $0 >= patience }) ?? false {
        feed.yield(.failed(why))
        return
      }
      if silence == nil { Console.note("muster: \(why.map { "\($0)" } ?? "central ended the stream of events"). Trying again") }
      silence = silence ?? .now
      do { try await Task.sleep(for: .milliseconds(500)) } catch { return }
    }
  }

  private func tick(_ feed: AsyncStream<Input>.Continuation) async {
    while !Task.isCancelled {
      do { try await Task.sleep(for: .seconds(1)) } catch { return }
      feed.yield(.tick)
    }
  }
}

/// Shows the state of a task on the terminal, or as lines.
private struct WatchScreen {
  let client: OpsClient
  let format: OutputFormat
  private let terminal = Terminal.output
  private var canvas = Canvas()
  private var changes = WatchLines()
  private var devices: [NodeSummary] = []
  private var askedForDevices: ContinuousClock.Instant?
  private var said: (now: RoundState, at: ContinuousClock.Instant)?

  init(client: OpsClient, format: OutputFormat) {
    self.client = client
    self.format = format
  }

  /// Whether the picture is redrawn as time passes.
  var isAlive: Bool { format == .table && terminal.isTerminal }

  mutating func show(_ picture: TaskPicture) async throws {
    let detail = picture.detail
    switch format {
    case .json:
      if changes.isNew(detail) { try Console.show(jsonLine: detail.now) }
    case .table where isAlive:
      await askForDevices(detail.now)
      var picture = picture
      picture.detail.now.closesInSeconds = countdown(detail.now)
      try canvas.draw(WatchView(picture: picture, nodes: devices).lines(width: terminal.width, ink: Ink(terminal)), width: terminal.width)
    case .table:
      for line in changes.lines(picture) { try Console.print("\(Words.now)  \(line)") }
    }
  }

  /// The seconds until the phase closes. Central gives them with each state, and in between they are counted down here.
  private mutating func countdown(_ now: RoundState) -> Double? {
    if said?.now != now { said = (now, .now) }
    guard let said, let seconds = now.closesInSeconds, now.step != .paused else { return now.closesInSeconds }
    return max(0, seconds - (ContinuousClock.now - said.at) / .seconds(1))
  }

  /// Fetches the devices for the picture, at most every two seconds. They are optional.
  private mutating func askForDevices(_ now: RoundState) async {
    guard !now.step.isFinal else {
      devices = []
      return
    }
    guard askedForDevices.map({ .now - $0 >= .seconds(2) }) ?? true else { return }
    askedForDevices = .now
    // If the request fails for any reason, the picture is drawn without devices.
    devices = (try? await client.nodes()) ?? []
  }
}

/// A block of lines at the bottom of the terminal that is redrawn in place.
struct Canvas {
  private var height = 0

  mutating func draw(_ lines: [String], width: Int) throws(CommandError) {
    var text = height > 0 ? "\u{1B}[\(height)A" : ""
    for line in lines { text += "\r\(line.cut(to: max(20, width)))\u{1B}[K\n" }
    // Clear the rest of an earlier picture that was taller.
    text += "\u{1B}[J"
    height = lines.count
    try Console.write(text)
  }
}

/// Formats the changes since the last call, one line each.
struct WatchLines {
  private var key: [String] = []
  /// The last round that was reported in a line.
  private var closed = 0

  /// Whether anything except a countdown has changed.
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
    // A state of a round that has ended in the meantime is out of date.
    if !now.step.isFinal, now.round <= closed { return lines }
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
