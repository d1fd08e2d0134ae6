import MusterParticipation
package import MusterSchema

/// An invitation that a node has not answered, while nothing else was heard of it either.
struct Silence: Hashable, Sendable {
  var since: Instant
  /// How often it was called since, and when that is done next.
  var calls = 0
  var callAt: Instant
}

/// The nodes that have not answered, ordered by what time brings.
struct Silences: Sendable {
  private var silences: SharingDictionary<NodeID, Silence> = [:]
  /// For each node that is not counted as silent yet: when it will be.
  private var beginnings = SortedSet<NodeAt>()
  private(set) var calls = SortedSet<NodeAt>()
  /// Seconds after which a node that does not answer is silent.
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

  /// Nodes that have become silent since the last time, each once.
  mutating func takeNew(at now: Instant) -> [NodeID] {
    let new = beginnings.prefix { $0.at <= now }
    for beginning in new { beginnings.remove(beginning) }
    return new.map(\.node)
  }
}

// Presence is what a broker remembers, and a broker that loses its power fires no Will: who does not answer an invitation is not ready, whatever
// its retained state says, until its next word.
extension Coordinator {
  /// Since when a node is silent, in seconds; nil when it is not.
  package func silence(of node: NodeID) -> Double? {
    guard !configuration.faults.contains(.forgetsSilence) else { return nil }
    return unanswered[node].map { now.seconds(since: $0.since) }.flatMap { $0 >= configuration.answerSeconds ? $0 : nil }
  }

  static let silentReason = "is silent: it did not answer an invitation, and nothing was heard of it since"

  func isSilent(_ node: NodeID) -> Bool { silence(of: node) != nil }

  /// An invitation goes out that the node has to answer.
  mutating func awaitWord(of node: NodeID) {
    if unanswered[node] == nil { unanswered[node] = Silence(since: now, callAt: call(after: Self.callSeconds)) }
  }

  /// Something new came from the node itself, and not from a broker's memory.
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

  /// Somebody who was silent is there: every task looks whether that helps it.
  mutating func lookAgain() {
    for id in openTasks {
      if tasks[id]?.specification == nil { effects.append(.standingChanged(id)) }
      advance(id)
    }
  }

  /// Nobody could hear, or be heard. A node that is not silent yet is asked again, and has the whole time to answer from then on.
  mutating func restartPatience() {
    for node in unanswered.all.keys where !isSilent(node) { unanswered[node] = nil }
  }

  /// Says the descriptors again when it is time, less and less often: a node that hears them says where it stands.
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

  /// Counts those anew who have become silent by now.
  mutating func noteSilence() {
    for node in unanswered.takeNew(at: now) { review(node) }
  }

  /// When somebody silent is called next; nil when nobody is, or when there is nothing to call them to.
  var nextCall: Instant? {
    isConnected && !openTasks.isEmpty ? unanswered.calls.first?.at : nil
  }

  /// Calls come together, every ten seconds at most: each is a descriptor that all nodes read and answer.
  private func call(after seconds: Double) -> Instant {
    let grid: Int64 = 10_000
    let earliest = now.advanced(bySeconds: seconds).milliseconds
    return Instant(milliseconds: (earliest + grid - 1) / grid * grid)
  }

  /// Between a node's last chance to answer and the first call.
  static let callSeconds = 60.0
}
