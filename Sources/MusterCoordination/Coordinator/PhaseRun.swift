internal import MusterParticipation
internal import MusterSchema

/// A node's place in a phase's cohort. Soft: learned again from statuses after a restart.
struct Seat: Hashable, Sendable {
  enum State: Hashable, Sendable {
    /// Invited, no answer yet.
    case invited
    case working(progress: Double?)
    case done
    case lost(reason: String, fate: Fate)
  }

  /// Devices that the node is asked for.
  var quota: Int
  var state = State.invited
  /// When its time to answer began. Before the first invitation: when it got the seat.
  var since: Instant
  /// Its place in the order in which invitations are sent.
  var turn = 0
  /// When its invitation was last sent; `nil` while it waits for its turn or is owed another one.
  var invitedAt: Instant?
  /// Whether its invitation was sent more than once without an answer.
  var isRepeated = false
  /// Whether its time to answer has begun.
  var wasInvited = false
  /// Whether a device has the seat only because it says that it is at work: this coordinator has not invited it since its own start.
  var isByOwnWord = false
  /// As reported by a scout: devices at work or done.
  var have = 0
  /// Devices of its quota that other nodes were asked for instead.
  var moved = 0
  /// The quota that the node reports.
  var known = 0
  /// Since when the node has been asked for more than the quota that it reports.
  var raisedAt: Instant?
  /// The node that took the place of this lost one.
  var replacement: NodeID?
  /// Whether the scout reports that no other device is ready.
  var isShort = false
  var reason: String?
  /// The kind of reason, for decisions.
  var code: ErrorCode?
  var waiting: [Waiting] = []

  var isLost: Bool { if case .lost = state { true } else { false } }
  /// Since when an invitation waits for its answer; `nil` if none does.
  var askedAt: Instant? { state == .invited ? since : isLost ? nil : raisedAt }

  /// Marks the invitation as possibly lost, so that the node is invited again in its turn.
  ///
  /// - Parameter restarts: whether its time to answer begins again.
  mutating func oweInvitation(restarts: Bool) {
    invitedAt = nil
    isRepeated = false
    if restarts { wasInvited = false }
  }

  /// Notes that the invitation goes out now.
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

/// A phase of a round in progress: the nodes that were invited, and what was delivered. Ledgers and scouts use it alike.
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
  /// The turn of the newest seat.
  private var turn = 0
  /// At the ledger: contributions that were accepted, in all attempts.
  private(set) var accepted: SharingDictionary<NodePath, ContributionRecord> = [:]
  /// Devices that the accepted contributions stand for.
  private(set) var deliveredDevices = 0
  /// Devices whose contributions count as far as is known: the accepted ones without those that were refused.
  private(set) var acceptedDevices = 0
  /// At the root: paths whose updates an earlier attempt's aggregation refused. They stay accepted; other devices are asked in addition.
  private(set) var refused: Set<String> = []
  /// Since when no node is left to wait for. At the root after refusals: since when too few other devices are ready.
  var idleSince: Instant?
  var isClosed = false
  /// At a scout: whether the ledger takes nothing more. Soft: the ledger is asked again.
  var isOver = false
  /// At a scout: until when no further device is invited.
  var holdsUntil: Instant?
  /// Whether the ledger's answer also ends that wait.
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

  /// Gives a device a seat. It is invited after the devices that were chosen before it.
  mutating func seat(_ node: NodeID, at now: Instant) {
    turn += 1
    nodes[node].seat = Seat(quota: 1, since: now, turn: turn)
    nodes[node].offers += 1
  }

  /// Begins a further attempt, or applies a changed order. Accepted contributions stay, and so do the devices already at work for a scout.
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
      // A node that was lost in this attempt keeps its seat, so that it is not invited again in it.
      if let seat = entry.seat, !(isSameAttempt && seat.isLost) { nodes[node].seat = nil }
    }
    for (node, quota) in opening.cohort {
      var seat = Seat(quota: quota, since: now)
      if let old = before[node].seat, order != nil, !old.isLost { seat = old }
      nodes[node].seat = seat
    }
  }

  /// The node that a contribution came from: at the root a region, at a region a device.
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

  /// Sets which of the accepted contributions are refused.
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
