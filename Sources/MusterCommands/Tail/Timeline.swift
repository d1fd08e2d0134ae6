import MusterSchema

/// Formats messages of the topics as readable lines.
struct Timeline: Sendable {
  /// Whether each line shows the task's id, which is needed when messages may be about several tasks.
  var showsTask: Bool
  /// The width of the column of names, which grows when a name is longer.
  private var width = 12

  init(showsTask: Bool) { self.showsTask = showsTask }

  /// The content of a line, independent of its layout.
  struct Entry: Hashable, Sendable {
    enum Tone: Hashable, Sendable { case plain, good, bad, important, quiet }

    /// The sender or receiver, for example `central` or `north/pi-1`.
    var who: String
    var verb: String
    var details: [String] = []
    var task: TaskID?
    var tone: Tone = .plain
  }

  /// - Parameters:
  ///   - clock: the time of arrival, such as `12:03:11`.
  ///   - isKept: whether the broker had retained the message, so that it is a state and not news.
  mutating func line(topic: String, payload: [UInt8], clock: String, isKept: Bool = false, ink: Ink = .none) -> String {
    let entry = Self.entry(topic: topic, payload: payload)
    width = max(width, min(40, entry.who.count))
    let task = showsTask ? "\((entry.task?.rawValue ?? "").padded(to: 20))  " : ""
    let details = entry.details.filter { !$0.isEmpty }.map(\.withoutControlCharacters).joined(separator: "  ")
    let verb = paint(entry.verb.padded(to: 10), isKept ? .quiet : entry.tone, ink)
    var text = "\(ink.dim(clock))  \(entry.who.padded(to: width))  \(ink.dim(task))\(verb)  \(isKept ? ink.dim(details) : details)"
    while text.last == " " { text.removeLast() }
    return text
  }

  private func paint(_ text: String, _ tone: Entry.Tone, _ ink: Ink) -> String {
    switch tone {
    case .plain: text
    case .good: ink.green(text)
    case .bad: ink.red(text)
    case .important: ink.blue(text)
    case .quiet: ink.dim(text)
    }
  }

  /// The meaning of a message. A payload that cannot be decoded becomes an entry as well.
  static func entry(topic text: String, payload: [UInt8]) -> Entry {
    let topic: Topic
    do {
      topic = try Topic(parsing: text)
    } catch {
      return Entry(who: "?", verb: "unknown", details: ["\(error)"], tone: .bad)
    }
    guard !payload.isEmpty else { return cleared(topic) }
    do {
      switch topic {
      case .coordinatorState: return entry(try MessageCoder.decode(CoordinatorState.self, from: payload))
      case .task(let coordinator, _): return entry(try MessageCoder.decode(TaskDescriptor.self, from: payload), at: coordinator)
      case .round(let coordinator, _): return entry(try MessageCoder.decode(RoundState.self, from: payload), at: coordinator)
      case .nodeState(let coordinator, _): return entry(try MessageCoder.decode(NodeState.self, from: payload), at: coordinator)
      case .nodeStatus(let coordinator, _, _): return entry(try MessageCoder.decode(NodeStatus.self, from: payload), at: coordinator)
      case .invitation(let coordinator, let node, _):
        return entry(try MessageCoder.decode(Invitation.self, from: payload), at: coordinator, node: node)
      }
    } catch {
      return Entry(who: who(topic), verb: "invalid", details: ["\(error)"], tone: .bad)
    }
  }

  /// The name of a node: a device by its path, a region by its id.
  private static func path(_ coordinator: NodeID, _ node: NodeID) -> String {
    coordinator == .central ? node.rawValue : "\(coordinator)/\(node)"
  }

  private static func who(_ topic: Topic) -> String {
    switch topic {
    case .coordinatorState(let coordinator), .task(let coordinator, _), .round(let coordinator, _): coordinator.rawValue
    case .nodeState(let coordinator, let node), .nodeStatus(let coordinator, let node, _), .invitation(let coordinator, let node, _):
      path(coordinator, node)
    }
  }

  private static func cleared(_ topic: Topic) -> Entry {
    switch topic {
    case .coordinatorState, .nodeState: Entry(who: who(topic), verb: "cleared", details: ["its state"], tone: .quiet)
    case .task(_, let task): Entry(who: who(topic), verb: "cleared", details: ["the task"], task: task, tone: .quiet)
    case .round(_, let task): Entry(who: who(topic), verb: "cleared", details: ["the round"], task: task, tone: .quiet)
    case .nodeStatus(_, _, let task): Entry(who: who(topic), verb: "cleared", details: ["its status"], task: task, tone: .quiet)
    case .invitation(_, _, let task): Entry(who: who(topic), verb: "cleared", details: ["its invitation"], task: task, tone: .quiet)
    }
  }

  private static func entry(_ state: CoordinatorState) -> Entry {
    guard state.online else { return Entry(who: state.coordinator.rawValue, verb: "offline", details: [state.reason ?? ""], tone: .bad) }
    return Entry(
      who: state.coordinator.rawValue, verb: "online",
      details: [state.data.map { "data \($0)" } ?? "", state.ops.map { "ops \($0)" } ?? ""], tone: .good)
  }

  private static func entry(_ task: TaskDescriptor, at coordinator: NodeID) -> Entry {
    Entry(
      who: coordinator.rawValue, verb: "task \(task.state.rawValue)",
      details: [task.name, task.reason ?? "", task.model.type, Words.count(task.rounds, "round"), "revision \(task.revision)"],
      task: task.task, tone: .important)
  }

  private static func entry(_ round: RoundState, at coordinator: NodeID) -> Entry {
    let tone: Entry.Tone =
      switch round.step {
      case .completed: .good
      case .failed, .cancelled: .bad
      default: .plain
      }
    return Entry(
      who: coordinator.rawValue, verb: round.step.rawValue,
      details: [
        "round \(round.round)/\(round.rounds)", round.attempt > 1 ? "attempt \(round.attempt)" : "",
        round.step == .recruiting ? "" : round.counts(),
      ] + Words.metrics(round.metrics ?? [:]) + [round.why], task: round.task, tone: tone)
  }

  private static func entry(_ state: NodeState, at coordinator: NodeID) -> Entry {
    let who = path(coordinator, state.node)
    guard state.online else { return Entry(who: who, verb: "offline", details: [state.reason ?? ""], tone: .bad) }
    let labels = (state.labels ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
    let resources = state.resources
    return Entry(
      who: who, verb: "online",
      details: [
        labels, resources?.cores.map { Words.count($0, "core") } ?? "",
        resources?.load.map { "load \(Words.number($0, digits: 2))" } ?? "", resources?.memoryMiB.map { "\($0) MiB" } ?? "",
        resources?.battery.map { "battery \($0) %" } ?? "",
      ], tone: .good)
  }

  private static func entry(_ status: NodeStatus, at coordinator: NodeID) -> Entry {
    let tone: Entry.Tone =
      switch status.state {
      case .done, .filled: .good
      case .failed, .short: .bad
      default: .plain
      }
    return Entry(
      who: path(coordinator, status.node), verb: verb(status), details: details(status), task: status.task, tone: tone)
  }

  /// Leaves out the ticket and the grant, which are secrets.
  private static func entry(_ invitation: Invitation, at coordinator: NodeID, node: NodeID) -> Entry {
    let quota = invitation.quota == 1 && invitation.minimum == 1 ? "" : "\(invitation.quota) devices, at least \(invitation.minimum)"
    return Entry(
      who: path(coordinator, node), verb: "invited",
      details: [
        "round \(invitation.round)", invitation.phase == .evaluate ? "to evaluate" : "to train",
        invitation.attempt > 1 ? "attempt \(invitation.attempt)" : "", quota, "within \(Words.seconds(invitation.secondsLeft))",
        "model \(invitation.base.digest.hexadecimal.prefix(8)), \(Words.bytes(invitation.base.bytes))",
      ], task: invitation.task, tone: .important)
  }

  private static func verb(_ status: NodeStatus) -> String {
    status.state == .training && status.phase == .evaluate ? "evaluating" : status.state.rawValue
  }

  private static func details(_ status: NodeStatus) -> [String] {
    [
      status.round.map { "round \($0)" } ?? "", (status.attempt ?? 1) > 1 ? "attempt \(status.attempt ?? 1)" : "",
      status.progress.map(Words.percent) ?? "", status.loss.map { "loss \(Words.number($0, digits: 3))" } ?? "",
      status.have.map { "\($0) working or done" } ?? "", devices(status),
      (status.declined ?? 0) > 0 ? "\(status.declined ?? 0) declined" : "", status.reason ?? "",
      status.retrySeconds.map { "retries in \(Words.seconds($0))" } ?? "",
      (status.waiting ?? []).map { "\($0.node): \($0.reason)" }.joined(separator: "; "),
    ]
  }

  /// The number of devices, left out for a device's status about itself.
  private static func devices(_ status: NodeStatus) -> String {
    guard let devices = status.devices, devices != 1 || status.have != nil else { return "" }
    return Words.count(devices, "device")
  }

  /// A status in a few words for a table cell, such as `training  round 3  40 %`.
  static func brief(_ status: NodeStatus) -> String {
    ([verb(status)] + details(status)).filter { !$0.isEmpty }.map(\.withoutControlCharacters).joined(separator: "  ")
  }
}

/// Hides secrets in a raw payload.
enum Masking {
  /// The payload as text, with the values of `ticket` and `grant` replaced.
  static func text(_ payload: [UInt8]) -> String {
    var text = String(decoding: payload, as: UTF8.self).withoutControlCharacters
    for name in ["ticket", "grant"] { text = mask(name, in: text) }
    return text
  }

  /// Works on any text, because a payload may be malformed: everything from the name to the end of the value is replaced.
  private static func mask(_ name: String, in text: String) -> String {
    let key = "\"\(name)\""
    var shown = ""
    var rest = text[...]
    while let start = rest.firstRange(of: key) {
      shown += rest[..<start.upperBound]
      rest = rest[start.upperBound...]
      let space = rest.prefix { $0 == " " }
      guard rest.dropFirst(space.count).first == ":" else { continue }
      shown += ":\"•••\""
      rest = rest.dropFirst(space.count + 1).drop { $0 == " " }
      guard rest.first == "\"" else {
        rest = rest.drop { $0 != "," && $0 != "}" }
        continue
      }
      rest = rest.dropFirst()
      var isEscaped = false
      while let character = rest.first {
        rest = rest.dropFirst()
        if character == "\"", !isEscaped { break }
        isEscaped = character == "\\" && !isEscaped
      }
    }
    return shown + rest
  }
}
