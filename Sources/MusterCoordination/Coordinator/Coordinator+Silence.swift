import MusterParticipation
package import MusterSchema

/// An unanswered invitation to a node of which nothing else was heard either.
struct Silence: Hashable, Sendable {
  var since: Instant
  /// How often the node was called since then, by publishing the open tasks again.
  var calls = 0
  /// When it is called next.
  var callAt: Instant
}

/// The nodes that have not answered, ordered by when something is due for them.
struct Silences: Sendable {
  private var silences: SharingDictionary<NodeID, Silence> = [:]
  /// For each node that is not silent yet: when it becomes silent.
  private var beginnings = SortedSet<NodeAt>()
  private(set) var calls = SortedSet<NodeAt>()
  /// Seconds after which a node that does not answer counts as silent.
  private let answerSeconds: Double

  init(answerSeconds: Double) { self.answerSeconds = answerSeconds }

  subscript(node: NodeID) -> Silence? {
    get { silences[node] }
    set {
      let before = silences[node]
      silences[node] = newValue
      if before?.since != newValue?.since {
        if let before { beginnings.remove(NodeAt(at: begins(before), node: node)) }
        if let newValue { beginnings.insert(NodeAt(at: begins(newValue), node: node)) }
      }
      if let before { calls.remove(NodeAt(at: max(before.callAt, begins(before)), node: node)) }
      if let newValue { calls.insert(NodeAt(at: max(newValue.callAt, begins(newValue)), node: node)) }
    }
  }

  var all: SharingDictionary<NodeID, Silence> { silences }

  private func begins(_ silence: Silence) -> Instant { silence.since.advanced(bySeconds: answerSeconds) }

  /// Nodes that have become silent by now. Each is returned once.
  mutating func takeNew(at now: Instant) -> [NodeID] {
    let new = beginnings.prefix { $0.at <= now }
    for beginning in new { beginnings.remove(beginning) }
    return new.map(\.node)
  }
}

// Presence is what a broker remembers, and a broker that loses power fires no Will. So a node that does not answer an invitation counts as
// not ready, whatever its retained state says, until something new is heard from it.
extension Coordinator {
  /// Seconds for which a node has been silent; `nil` if it is not silent.
  package func silence(of node: NodeID) -> Double? {
    guard !configuration.faults.contains(.forgetsSilence) else { return nil }
    return unanswered[node].map { now.seconds(since: $0.since) }.flatMap { $0 >= configuration.answerSeconds ? $0 : nil }
  }

  static let silentReason = "is silent: it did not answer an invitation and has sent nothing since"

  func isSilent(_ node: NodeID) -> Bool { silence(of: node) != nil }

  /// Starts to wait for an answer to an invitation that goes out now.
  mutating func awaitWord(of node: NodeID) {
    if unanswered[node] == nil { unanswered[node] = Silence(since: now, callAt: call(after: Self.callSeconds)) }
  }

  /// Notes that something new came from the node itself, not from a broker's memory.
  ///
  /// - Returns: whether it was silent before, so that it may be invited again.
  mutating func heardWord(of node: NodeID) -> Bool {
    if nodes[node] != nil { heardAt[node] = now }
    guard unanswered[node] != nil else { return false }
    let wasSilent = isSilent(node)
    unanswered[node] = nil
    if wasSilent { review(node) }
    return wasSilent
  }

  /// Advances every open task, because a node that was silent has been heard or a node was forgotten.
  mutating func lookAgain() {
    for id in openTasks {
      if tasks[id]?.specification == nil { effects.append(.standingChanged(id)) }
      advance(id)
    }
  }

  /// Restarts the time to answer after the connection to the broker was lost, when no node could hear or be heard. Nodes that count as
  /// silent already stay silent.
  mutating func restartPatience() {
    for node in unanswered.all.keys where !isSilent(node) { unanswered[node] = nil }
  }

  /// Publishes the open tasks again when a call is due, less and less often. A node that receives a descriptor repeats its status.
  mutating func callSilent() {
    guard isConnected else { return }
    let due = configuration.faults.contains(.forgetsSilence) ? [] : unanswered.calls.prefix { $0.at <= now }.map(\.node)
    guard !due.isEmpty else { return }
    for node in due {
      guard let calls = unanswered[node]?.calls else { continue }
      unanswered[node]?.calls = calls + 1
      let next = call(after: Self.callSeconds * Double(1 << min(calls + 1, 6)))
      unanswered[node]?.callAt = next
    }
    effects += openTasks.map { .publish(describe($0)) }
  }

  /// Recounts the nodes that have become silent by now.
  mutating func noteSilence() {
    for node in unanswered.takeNew(at: now) { review(node) }
  }

  /// When the next call is due; `nil` without a silent node, without an open task or without a connection.
  var nextCall: Instant? {
    isConnected && !openTasks.isEmpty ? unanswered.calls.first?.at : nil
  }

  /// When a call after `seconds` is made. Calls are made together, at most every ten seconds, because all nodes read and answer each one.
  private func call(after seconds: Double) -> Instant {
    let grid: Int64 = 10_000
    let earliest = now.advanced(bySeconds: seconds).milliseconds
    return Instant(milliseconds: (earliest + grid - 1) / grid * grid)
  }

  /// Seconds from an invitation that gets no answer to the first call.
  static let callSeconds = 60.0
}
