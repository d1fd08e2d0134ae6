internal import MusterParticipation
internal import MusterSchema

/// A node's place in a phase's cohort. Soft: it is learned again from statuses after a restart.
struct Seat: Hashable, Sendable {
  enum State: Hashable, Sendable {
    /// Invited, no answer yet.
    case invited
    case working(progress: Double?)
    case done
    case lost(reason: String, failed: Bool)
  }

  /// Devices that the node is to bring.
  var quota: Int
  var state = State.invited
  var since: Instant
  var invitedAt: Instant?
  /// A scout's own word: devices at work or done.
  var have = 0
  /// Of its quota, what was already asked of other nodes.
  var moved = 0
  /// The quota that it says it knows, and since when it is asked for more than that.
  var known = 0
  var raisedAt: Instant?
  /// Who took the place of a node that was lost.
  var replacement: NodeID?
  /// The scout looks no further: nobody else is ready.
  var isShort = false
  var reason: String?
  /// What it says in a word, for decisions.
  var code: ErrorCode?
  var waiting: [Waiting] = []

  var isLost: Bool { if case .lost = state { true } else { false } }
  /// Since when an invitation waits for its answer.
  var askedAt: Instant? { state == .invited ? since : isLost ? nil : raisedAt }
}

/// A phase of a round that runs: who was invited, who delivered. The same at a ledger and at a scout.
struct PhaseRun: Sendable {
  var key: RoundKey
  var base: ModelReference
  var seed: UInt64
  var needed: Int
  var minimum: Int
  var opened: Instant
  var deadline: Instant
  var order: Invitation?
  var seats: [NodeID: Seat] = [:]
  /// At the ledger: what counts, whatever the attempt.
  var accepted: SharingDictionary<NodePath, ContributionRecord> = [:]
  /// At the root: what an earlier attempt's aggregation refused, by path. It stays accepted; others are asked for besides.
  var refused: Set<String> = []
  /// At a scout: devices that delivered in earlier attempts, or that the ledger names.
  var delivered: Set<NodeID> = []
  /// Since when nobody is left to wait for.
  var idleSince: Instant?
  var isClosed = false
  /// At a scout: the ledger takes nothing more. Soft: it is asked again.
  var isOver = false
  /// At a scout: until when nobody new is invited, and whether the ledger's word ends that.
  var holdsUntil: Instant?
  var holdsForLedger = false
  /// At a scout: how often each was offered a place in this attempt.
  var offers: [NodeID: Int] = [:]

  init(_ opening: PhaseOpening, at now: Instant) {
    key = opening.key
    base = opening.base
    seed = opening.seed
    needed = opening.needed
    minimum = opening.minimum
    opened = now
    deadline = opening.deadline
    order = opening.order
    seats = opening.cohort.mapValues { Seat(quota: $0, since: now) }
  }

  /// A further attempt, or a changed order: what was accepted stays, and so do those who are already at work.
  mutating func reopen(_ opening: PhaseOpening, at now: Instant) {
    for (node, seat) in seats where seat.state == .done && order != nil { delivered.insert(node) }
    let before = seats
    let isSameAttempt = opening.key == key
    key = opening.key
    needed = opening.needed
    minimum = opening.minimum
    deadline = opening.deadline
    order = opening.order
    idleSince = nil
    isOver = false
    if !isSameAttempt { offers = [:] }
    // Whoever failed in this attempt is not asked again in it.
    seats = isSameAttempt ? before.filter(\.value.isLost) : [:]
    for (node, quota) in opening.cohort {
      var seat = Seat(quota: quota, since: now)
      if let old = before[node], order != nil, !old.isLost { seat = old }
      seats[node] = seat
    }
  }

  /// Devices whose work was accepted, of one node's.
  func accepted(from node: NodeID) -> Int {
    accepted.values.reduce(0) { $0 + (sender($1.path) == node ? $1.devices : 0) }
  }

  /// Devices whose work counts, as far as it is known.
  var acceptedDevices: Int {
    accepted.values.reduce(0) { $0 + (refused.isEmpty || !refused.contains($1.path.description) ? $1.devices : 0) }
  }

  /// Which of a ledger's nodes a contribution came from: at the root a region, at a region a device.
  private func sender(_ path: NodePath) -> NodeID? { order == nil ? path.nodes.first : path.nodes.last }

  mutating func accept(_ contribution: ContributionRecord) {
    accepted[contribution.path] = contribution
    guard order != nil, let device = sender(contribution.path) else { return }
    delivered.insert(device)
    seats[device]?.state = .done
  }

  /// Devices at work or done, as far as the seats tell.
  var atWork: Int {
    seats.values.count { seat in
      switch seat.state {
      case .working, .done: true
      case .invited, .lost: false
      }
    } + delivered.count { seats[$0] == nil }
  }

  /// Places that are taken, whether or not there was an answer yet.
  var holding: Int { seats.values.count { !$0.isLost } + delivered.count { seats[$0] == nil } }

  mutating func shift(by milliseconds: Int64) {
    deadline.milliseconds += milliseconds
    idleSince = nil
    holdsUntil?.milliseconds += milliseconds
    for node in seats.keys {
      seats[node]?.since.milliseconds += milliseconds
      seats[node]?.invitedAt?.milliseconds += milliseconds
      seats[node]?.raisedAt?.milliseconds += milliseconds
    }
  }
}
