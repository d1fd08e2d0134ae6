import MusterSchema

/// The picture that `muster task watch` draws: rounds, the phase, metrics over time, devices, and the reason for waiting.
struct WatchView {
  var picture: TaskPicture
  var nodes: [NodeSummary]
  /// The largest number of devices that get a line of their own.
  var maximumDevices = 12
  private static let maximumWhy = 8

  private var detail: TaskDetail { picture.detail }

  func lines(width: Int, ink: Ink) -> [String] {
    let now = detail.now
    let done = now.step == .completed ? now.rounds : detail.roundsEnded
    let bar = ProgressBar.text(Double(done) / Double(max(1, now.rounds)), width: min(40, max(10, width - 50)))
    var lines = [
      "\(ink.bold(now.task.rawValue))  \(ink.dim("\(detail.specification.model.type), \(list(detail.specification.regions))"))",
      "\(ink.green(bar))  round \(now.round)/\(now.rounds)  \(step(now.step, ink))\(attempt(now))",
    ]
    if !now.step.isFinal {
      let left = now.closesInSeconds.map { "  closes in \(Words.seconds($0))" } ?? ""
      let counts = now.counts(of: " contributions", or: " of ")
      if !(counts + left).isEmpty { lines.append(counts + ink.dim(left)) }
    }
    lines += series(width: max(8, min(40, width - 40)), ink)
    lines += devices(ink)
    return lines + why(width: width).map { now.step.isFinal ? $0 : ink.yellow($0) }
  }

  /// The reason for waiting, wrapped to the terminal's width, because the useful part is often at the end of the sentence.
  private func why(width: Int) -> [String] {
    let lines = detail.now.reason.wrapped(to: max(20, width))
    guard lines.count > Self.maximumWhy else { return lines }
    return lines.prefix(Self.maximumWhy - 1) + ["… (muster why \(detail.now.task) shows everything)"]
  }

  private func list(_ regions: [NodeID]) -> String { regions.map(\.rawValue).joined(separator: " + ") }

  private func attempt(_ now: RoundState) -> String { now.attempt > 1 && !now.step.isFinal ? "  attempt \(now.attempt)" : "" }

  private func step(_ step: RoundState.Step, _ ink: Ink) -> String {
    switch step {
    case .completed: ink.green(step.rawValue)
    case .failed, .cancelled: ink.red(step.rawValue)
    case .paused: ink.yellow(step.rawValue)
    default: ink.blue(step.rawValue)
    }
  }

  /// A line for each of the first three metrics, with the task's own metric first.
  private func series(width: Int, _ ink: Ink) -> [String] {
    let evaluations = picture.rounds.map(\.evaluation)
    let names = Words.sorted(evaluations.compactMap { $0 }.flatMap(\.keys), first: detail.summary.metric).prefix(3)
    let column = min(24, max(9, names.map { $0.withoutEscapes.count }.max() ?? 0))
    return names.compactMap { name in
      let values = evaluations.map { $0?[name] }
      guard let last = values.last(where: { $0 != nil }) ?? nil else { return nil }
      let title = name.withoutEscapes.cut(to: column).padded(to: column)
      return "\(title) \(Words.measure(last))  \(ink.blue(Sparkline.text(values, width: width)))"
    }
  }

  private func devices(_ ink: Ink) -> [String] {
    let busy = nodes.compactMap { node -> (NodeSummary, NodeStatus)? in
      node.tasks.first { $0.task == detail.now.task }.map { (node, $0) }
    }
    guard !busy.isEmpty else { return [] }
    let width = busy.map { $0.0.path.description.count }.max() ?? 0
    var lines = busy.prefix(maximumDevices).map { node, status in
      let text = node.state.online ? Timeline.brief(status) : "offline"
      return "  \(node.path.description.padded(to: width))  \(text)"
    }
    if busy.count > maximumDevices { lines.append(ink.dim("  and \(busy.count - maximumDevices) more")) }
    return lines
  }
}

extension RoundState {
  /// The progress of the phase: `4/8`, or `4 ready, 8 needed` while recruiting. Empty for an ended task or a phase without devices.
  func counts(of noun: String = "", or separator: String = "/") -> String {
    guard needed > 0, !step.isFinal else { return "" }
    return step == .recruiting ? "\(have) ready, \(needed) needed" : "\(have)\(separator)\(needed)\(noun)"
  }

  /// The reason for waiting or for the end, without the step that is shown beside it.
  var reason: String { step.reason(in: why) }
}

extension RoundState.Step {
  func reason(in why: String) -> String {
    let clean = why.withoutControlCharacters
    return clean.hasPrefix("\(rawValue): ") ? String(clean.dropFirst(rawValue.count + 2)) : clean == rawValue ? "" : clean
  }
}
