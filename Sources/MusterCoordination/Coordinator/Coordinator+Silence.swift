import MusterParticipation
package import MusterSchema

/// An invitation that a node has not answered, while nothing else was heard of it either.
struct Silence: Hashable, Sendable {
  var since: Instant
  /// How often it was called since, and when that is done next.
  var calls = 0
  var callAt: Instant
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
    if unanswered[node] == nil { unanswered[node] = Silence(since: now, callAt: now.advanced(bySeconds: Self.callSeconds)) }
  }

  /// Something new came from the node itself, and not from a broker's memory.
  ///
  /// - Returns: whether it was silent before, so that it may be invited again.
  mutating func heardWord(of node: NodeID) -> Bool {
    if nodes[node] != nil { heardAt[node] = now }
    guard unanswered[node] != nil else { return false }
    defer { unanswered[node] = nil }
    return isSilent(node)
  }

  /// Somebody who was silent is there: every task looks whether that helps it.
  mutating func lookAgain() {
    for id in tasks.keys.sorted() where tasks[id]?.isEnded == false {
      if tasks[id]?.specification == nil { effects.append(.standingChanged(id)) }
      advance(id)
    }
  }

  /// Nobody could hear, or be heard: whoever is not silent yet has the whole time to answer again.
  mutating func restartPatience() {
    for (node, silence) in unanswered where now.seconds(since: silence.since) < configuration.answerSeconds {
      unanswered[node]?.since = now
    }
    for task in tasks.keys { tasks[task]?.restartPatience(at: now) }
  }

  /// Says the descriptors again when it is time, less and less often: a node that hears them says where it stands.
  mutating func callSilent() {
    guard isConnected else { return }
    let due = unanswered.filter { isSilent($0.key) && $0.value.callAt <= now }.keys
    guard !due.isEmpty else { return }
    for node in due {
      guard let calls = unanswered[node]?.calls else { continue }
      unanswered[node]?.calls = calls + 1
      unanswered[node]?.callAt = now.advanced(bySeconds: Self.callSeconds * Double(1 << min(calls + 1, 6)))
    }
    effects += tasks.values.filter { !$0.isEnded }.map(\.id).sorted().map { .publish(describe($0)) }
  }

  /// When somebody silent is called next; nil when nobody is, or when there is nothing to call them to.
  var nextCall: Instant? {
    guard isConnected, tasks.values.contains(where: { !$0.isEnded }) else { return nil }
    return unanswered.values.map { max($0.callAt, $0.since.advanced(bySeconds: configuration.answerSeconds)) }.min()
  }

  /// Between a node's last chance to answer and the first call.
  static let callSeconds = 60.0
}
