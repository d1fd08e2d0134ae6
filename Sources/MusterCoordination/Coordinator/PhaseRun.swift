internal import MusterParticipation
internal import MusterSchema

/// A node's place in a phase's cohort. Soft: it is learned again from statuses after a restart.
struct Seat: Hashable, Sendable {
  enum State: Hashable, Sendable {
    /// Invited, no answer yet.
    case invited
    case working(progress: Double?)
    case done
    case lost(reason: String, fate: Fate)
  }

  /// Devices that the node is to bring.
  var quota: Int
  var state = State.invited
  /// When its time to answer began; before any invitation, when it got the seat.
  var since: Instant
  /// Its place in the order in which invitations go out.
  var turn = 0
  /// When its invitation went out last; nil: it waits for its turn, or is owed another one.
  var invitedAt: Instant?
  /// Its invitation went out more than once without an answer.
  var isRepeated = false
  /// Whether its time to answer has begun.
  var wasInvited = false
  /// A device that has the seat because it says that it is at work, and was not invited by this coordinator since its start.
  var isByOwnWord = false
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

  /// Its invitation may have been lost: it is to be invited anew, when it is its turn.
  ///
  /// - Parameter restarts: whether its time to answer begins again with that.
  mutating func oweInvitation(restarts: Bool) {
    invitedAt = nil
    isRepeated = false
    if restarts { wasInvited = false }
  }

  /// Its invitation goes out.
  mutating func invited(at now: Instant) {
    isRepeated = invitedAt != nil
    if !wasInvited {
      if state == .invited { since = now } else if raisedAt != nil { raisedAt = now }
    }
    invitedAt = now
    wasInvited = true
    isByOwnWord = false
  }
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
  @Boxed var order: Invitation?
  var nodes: PhaseNodes
  /// The turn of the next seat.
  private var turn = 0
  /// At the ledger: what was accepted, whatever the attempt.
  private(set) var accepted: SharingDictionary<NodePath, ContributionRecord> = [:]
  /// Devices that these stand for.
  private(set) var deliveredDevices = 0
  /// Devices whose work counts, as far as it is known: without what was refused.
  private(set) var acceptedDevices = 0
  /// At the root: what an earlier attempt's aggregation refused, by path. It stays accepted; others are asked for besides.
  private(set) var refused: Set<String> = []
  /// Since when nobody is left to wait for.
  var idleSince: Instant?
  var isClosed = false
  /// At a scout: the ledger takes nothing more. Soft: it is asked again.
  var isOver = false
  /// At a scout: until when nobody new is invited, and whether the ledger's word ends that.
  var holdsUntil: Instant?
  var holdsForLedger = false

  /// - Parameter deliversOnce: see ``PhaseNodes/deliversOnce``.
  init(_ opening: PhaseOpening, at now: Instant, patience: PhaseNodes.Patience, deliversOnce: Bool) {
    key = opening.key
    base = opening.base
    seed = opening.seed
    needed = opening.needed
    minimum = opening.minimum
    opened = now
    deadline = opening.deadline
    order = opening.order
    nodes = PhaseNodes(patience, deliversOnce: deliversOnce)
    for (node, quota) in opening.cohort { nodes[node].seat = Seat(quota: quota, since: now) }
  }

  /// A seat for a device that is to be invited after those that were chosen before it.
  mutating func seat(_ node: NodeID, at now: Instant) {
    turn += 1
    nodes[node].seat = Seat(quota: 1, since: now, turn: turn)
    nodes[node].offers += 1
  }

  /// A further attempt, or a changed order: what was accepted stays, and so do those who are already at work.
  mutating func reopen(_ opening: PhaseOpening, at now: Instant) {
    let (before, wasOrder) = (nodes, order != nil)
    let isSameAttempt = opening.key == key
    key = opening.key
    needed = opening.needed
    minimum = opening.minimum
    deadline = opening.deadline
    order = opening.order
    idleSince = nil
    isOver = false
    for (node, entry) in before.all {
      if entry.seat?.state == .done && wasOrder { nodes[node].hasDelivered = true }
      if !isSameAttempt { nodes[node].offers = 0 }
      // A node that failed in this attempt keeps its lost seat, and so is not asked again in it.
      if let seat = entry.seat, !(isSameAttempt && seat.isLost) { nodes[node].seat = nil }
    }
    for (node, quota) in opening.cohort {
      var seat = Seat(quota: quota, since: now)
      if let old = before[node].seat, order != nil, !old.isLost { seat = old }
      nodes[node].seat = seat
    }
  }

  /// Which of a ledger's nodes a contribution came from: at the root a region, at a region a device.
  private func sender(_ path: NodePath) -> NodeID? { order == nil ? path.nodes.first : path.nodes.last }

  mutating func accept(_ contribution: ContributionRecord) {
    let before = accepted[contribution.path]?.devices ?? 0
    accepted[contribution.path] = contribution
    deliveredDevices += contribution.devices - before
    if refused.isEmpty || !refused.contains(contribution.path.description) { acceptedDevices += contribution.devices - before }
    guard let node = sender(contribution.path) else { return }
    nodes[node].accepted += contribution.devices - before
    guard order != nil else { return }
    nodes[node].hasDelivered = true
    nodes[node].seat?.state = .done
  }

  /// What was refused, of all that was accepted.
  mutating func refuse(_ paths: Set<String>) {
    refused = paths
    acceptedDevices = accepted.values.reduce(0) { $0 + (refused.contains($1.path.description) ? 0 : $1.devices) }
  }

  mutating func shift(by milliseconds: Int64) {
    deadline.milliseconds += milliseconds
    idleSince = nil
    holdsUntil?.milliseconds += milliseconds
    for (node, entry) in nodes.all where entry.seat != nil {
      nodes[node].seat?.since.milliseconds += milliseconds
      nodes[node].seat?.invitedAt?.milliseconds += milliseconds
      nodes[node].seat?.raisedAt?.milliseconds += milliseconds
    }
  }
}
