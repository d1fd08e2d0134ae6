internal import MusterParticipation
internal import MusterSchema

/// What a phase knows about one node.
struct PhaseNode: Hashable, Sendable {
  /// A device that is ready. Candidates are sorted in the order in which they are invited.
  struct Candidate: Hashable, Comparable, Sendable {
    /// The load per core; 0 if the task does not select by load.
    var load: Double
    /// The place in a seeded shuffle: a number that depends on the phase's seed and the device.
    var rank: UInt64
    var node: NodeID

    static func < (left: Self, right: Self) -> Bool { (left.load, left.rank, left.node) < (right.load, right.rank, right.node) }
  }

  @Boxed var seat: Seat? = nil
  /// At a scout: set while the device is ready.
  var candidate: Candidate?
  /// At the ledger: how many of this node's devices have contributions that were accepted.
  var accepted = 0
  /// At a scout: whether the device delivered in an earlier attempt, or the ledger lists its contribution.
  var hasDelivered = false
  /// At a scout: how often the device was offered a seat in this attempt.
  var offers = 0
  /// At a scout: whether the device was online before the connection to the broker broke, and is expected back.
  var isReturning = false
}

/// Counts over the nodes of a phase.
struct PhaseTally: Hashable, Sendable {
  /// Devices that the nodes with a seat are asked for.
  var quota = 0
  /// Seats with an unanswered invitation, or one that has yet to be sent. The other states of a seat are counted below.
  var invited = 0
  /// Seats whose invitation was sent once and has neither been answered nor repeated.
  var fresh = 0
  var working = 0
  var done = 0
  var lost = 0
  /// Nodes that have delivered and have no seat.
  var deliveredBefore = 0
  /// Contributions that may still come from nodes with a seat.
  var outstanding = 0
  /// Nodes that are expected back, have no seat and have not delivered.
  var returning = 0

  /// Nodes that are at work or done.
  var atWork: Int { working + done + deliveredBefore }
  /// Places that are taken, whether or not the invitation has been answered.
  var holding: Int { invited + atWork }
}

/// A node for which something is due at an instant.
struct NodeAt: Hashable, Comparable, Sendable {
  var at: Instant
  var node: NodeID

  static func < (left: Self, right: Self) -> Bool { (left.at, left.node) < (right.at, right.node) }
}

/// The nodes of a phase. Counts and sets over all of them are updated with each change, so that no event has to look at every node.
struct PhaseNodes: Sendable {
  /// The place of a node that waits for its invitation, in the order in which the seats were given.
  struct Turn: Hashable, Comparable, Sendable {
    var turn: Int
    var node: NodeID

    static func < (left: Self, right: Self) -> Bool { (left.turn, left.node) < (right.turn, right.node) }
  }

  /// How long to wait for the answer to an invitation, in seconds.
  struct Patience: Hashable, Sendable {
    var repeatSeconds: Double
    var answerSeconds: Double
  }

  private var nodes: SharingDictionary<NodeID, PhaseNode> = [:]
  private(set) var tally = PhaseTally()
  /// Lost nodes for which no replacement has been chosen yet.
  private(set) var vacancies = SortedSet<NodeID>()
  /// Nodes that report that they cannot bring their whole quota, or that were lost before they had.
  private(set) var lacking = SortedSet<NodeID>()
  /// Nodes whose seat is not done.
  private(set) var pending = SortedSet<NodeID>()
  /// Nodes with a seat that wait for their invitation.
  private(set) var uninvited = SortedSet<Turn>()
  /// When each unanswered invitation is to be repeated or given up.
  private(set) var due = SortedSet<NodeAt>()
  /// At a scout: ready devices that may be offered a seat.
  private(set) var free = SortedSet<PhaseNode.Candidate>()
  /// At the root: whether moving quotas between regions again would change nothing.
  var quotasAreSettled = false

  let patience: Patience
  /// Set in tasks whose regions aggregate: a node delivers once, and nothing more is expected from it in this phase.
  let deliversOnce: Bool

  init(_ patience: Patience, deliversOnce: Bool) {
    self.patience = patience
    self.deliversOnce = deliversOnce
  }

  subscript(node: NodeID) -> PhaseNode {
    get { nodes[node] ?? PhaseNode() }
    _modify {
      let before = self[node]
      var after = before
      yield &after
      replace(before, by: after, of: node)
    }
  }

  /// All nodes about which something is known, in no particular order.
  var all: SharingDictionary<NodeID, PhaseNode> { nodes }
  /// The nodes that have a seat, sorted by id.
  var seats: [(node: NodeID, seat: Seat)] {
    nodes.compactMap { node, entry in entry.seat.map { (node, $0) } }.sorted { $0.node < $1.node }
  }

  /// The first seats that are not done, sorted by node id.
  func pendingSeats(most: Int) -> [(node: NodeID, seat: Seat)] {
    pending.prefix(most).compactMap { node in self[node].seat.map { (node, $0) } }
  }

  /// Nodes whose invitation is to be repeated or given up by now, sorted by id.
  func due(at now: Instant) -> [NodeID] { due.prefix { $0.at <= now }.map(\.node).sorted() }

  /// Whether the node has delivered and nothing more is expected from it, because it delivers only once.
  func hasDelivered(_ node: NodeID) -> Bool { deliversOnce && self[node].accepted > 0 }

  private mutating func replace(_ before: PhaseNode, by after: PhaseNode, of node: NodeID) {
    guard before != after else { return }
    nodes[node] = after == PhaseNode() ? nil : after
    tally.count(before, deliversOnce, by: -1)
    tally.count(after, deliversOnce, by: 1)
    if before.share(deliversOnce) != after.share(deliversOnce) { quotasAreSettled = false }
    Self.move(in: &vacancies, from: before.isVacant ? node : nil, to: after.isVacant ? node : nil)
    Self.move(in: &lacking, from: before.lack(deliversOnce) > 0 ? node : nil, to: after.lack(deliversOnce) > 0 ? node : nil)
    Self.move(in: &pending, from: before.isPending ? node : nil, to: after.isPending ? node : nil)
    Self.move(in: &free, from: before.free, to: after.free)
    Self.move(in: &uninvited, from: before.turn(node), to: after.turn(node))
    Self.move(in: &due, from: before.due(node, patience), to: after.due(node, patience))
  }

  /// Replaces a node's element of a set.
  ///
  /// - Parameters:
  ///   - old: the present element; `nil` if there is none.
  ///   - new: the new element; `nil` if there is to be none.
  private static func move<Element>(in set: inout SortedSet<Element>, from old: Element?, to new: Element?) {
    guard old != new else { return }
    if let old { set.remove(old) }
    if let new { set.insert(new) }
  }
}

extension PhaseNode {
  /// The device's place among those that may be offered a seat; `nil` if it may not be.
  var free: Candidate? { seat == nil && !hasDelivered && offers < Self.mostOffers ? candidate : nil }

  /// How many seats a device is offered in one attempt if it takes one and gives it up again, for whatever reason.
  private static let mostOffers = 5

  fileprivate var isVacant: Bool { seat.map { $0.isLost && $0.replacement == nil } ?? false }
  /// The node's turn to be invited; `nil` if it does not wait for an invitation.
  fileprivate func turn(_ node: NodeID) -> PhaseNodes.Turn? {
    guard let seat, seat.askedAt != nil, seat.invitedAt == nil, !isReturning else { return nil }
    return PhaseNodes.Turn(turn: seat.turn, node: node)
  }

  /// The values that decide whether devices are asked of this node, or of other nodes in its place.
  fileprivate func share(_ deliversOnce: Bool) -> [Int] {
    guard let seat else { return [] }
    return [seat.quota, seat.moved, seat.isLost || seat.isShort ? 1 : 0, seat.have, deliversOnce && accepted > 0 ? 1 : 0]
  }

  fileprivate var isPending: Bool { seat.map { $0.state != .done } ?? false }

  /// Devices of its quota that the node will not bring and that no other node has been asked for instead.
  func lack(_ deliversOnce: Bool) -> Int {
    guard let seat, seat.isLost || seat.isShort, !(deliversOnce && accepted > 0) else { return 0 }
    // A region that is short may still deliver for the devices that it has. A lost one has only what was accepted.
    return seat.quota - (seat.isLost ? accepted : seat.have) - seat.moved
  }

  /// Contributions that may still come from the node.
  fileprivate func outstanding(_ deliversOnce: Bool) -> Int {
    guard let seat, !(deliversOnce && accepted > 0) else { return 0 }
    let expected =
      switch seat.state {
      case .lost: 0
      case .invited: seat.quota
      case .working, .done: seat.isShort ? seat.have : max(seat.quota, seat.have)
      }
    return max(0, expected - accepted)
  }

  /// When the invitation is to be repeated or given up; `nil` if none was sent yet or it was answered. A returning node has not subscribed
  /// yet, so it is invited after its birth message.
  fileprivate func due(_ node: NodeID, _ patience: PhaseNodes.Patience) -> NodeAt? {
    guard let seat, let asked = seat.askedAt, let invited = seat.invitedAt, !isReturning else { return nil }
    return NodeAt(
      at: min(asked.advanced(bySeconds: patience.answerSeconds), invited.advanced(bySeconds: patience.repeatSeconds)), node: node)
  }
}

extension PhaseTally {
  fileprivate mutating func count(_ node: PhaseNode, _ deliversOnce: Bool, by sign: Int) {
    guard let seat = node.seat else {
      if node.hasDelivered { deliveredBefore += sign } else if node.isReturning { returning += sign }
      return
    }
    quota += sign * seat.quota
    switch seat.state {
    case .invited:
      invited += sign
      if seat.invitedAt != nil && !seat.isRepeated { fresh += sign }
    case .working: working += sign
    case .done: done += sign
    case .lost: lost += sign
    }
    outstanding += sign * node.outstanding(deliversOnce)
  }
}
