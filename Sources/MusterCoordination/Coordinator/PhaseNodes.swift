internal import MusterParticipation
internal import MusterSchema

/// What a phase knows of one node.
struct PhaseNode: Hashable, Sendable {
  /// A device that is ready, in the order in which devices are invited.
  struct Candidate: Hashable, Comparable, Sendable {
    /// 0 where the task does not select by load.
    var load: Double
    /// A seeded shuffle: a number that depends on the phase's seed and the device.
    var order: UInt64
    var node: NodeID

    static func < (left: Self, right: Self) -> Bool { (left.load, left.order, left.node) < (right.load, right.order, right.node) }
  }

  @Boxed var seat: Seat? = nil
  /// At a scout: set while the device is ready.
  var candidate: Candidate?
  /// At the ledger: devices whose work was accepted, of this node's.
  var accepted = 0
  /// At a scout: a device that delivered in an earlier attempt, or that the ledger names.
  var hasDelivered = false
  /// At a scout: how often it was offered a seat in this attempt.
  var offers = 0
  /// At a scout: it was there before the connection to the broker broke, and is waited for.
  var isReturning = false
}

/// What the nodes of a phase come to.
struct PhaseTally: Hashable, Sendable {
  /// Devices that those with a seat are to bring.
  var quota = 0
  /// Seats by their state.
  var invited = 0
  /// Seats that were invited once, have not answered, and were not invited again yet.
  var fresh = 0
  var working = 0
  var done = 0
  var lost = 0
  /// Nodes that delivered and have no seat.
  var deliveredBefore = 0
  /// Contributions that may still come of those with a seat.
  var outstanding = 0
  /// Nodes that are waited for, without a seat and without having delivered.
  var returning = 0

  /// Nodes at work or done.
  var atWork: Int { working + done + deliveredBefore }
  /// Places that are taken, whether or not there was an answer yet.
  var holding: Int { invited + atWork }
}

/// A node for which something is due at an instant.
struct NodeAt: Hashable, Comparable, Sendable {
  var at: Instant
  var node: NodeID

  static func < (left: Self, right: Self) -> Bool { (left.at, left.node) < (right.at, right.node) }
}

/// The nodes of a phase. Whatever is asked about all of them at once is kept as it changes, so that no event looks at every node.
struct PhaseNodes: Sendable {
  /// Who waits for an invitation, in the order in which the seats were given.
  struct Turn: Hashable, Comparable, Sendable {
    var turn: Int
    var node: NodeID

    static func < (left: Self, right: Self) -> Bool { (left.turn, left.node) < (right.turn, right.node) }
  }

  /// How long an invitation waits for its answer, in seconds.
  struct Patience: Hashable, Sendable {
    var repeatSeconds: Double
    var answerSeconds: Double
  }

  private var nodes: SharingDictionary<NodeID, PhaseNode> = [:]
  private(set) var tally = PhaseTally()
  /// Seats of lost nodes for which no other node was chosen yet.
  private(set) var vacancies = SortedSet<NodeID>()
  /// Seats of nodes that say that they cannot bring all of their quota, or that were lost with some of it.
  private(set) var lacking = SortedSet<NodeID>()
  /// Seats that are not done.
  private(set) var pending = SortedSet<NodeID>()
  /// Seats that wait for their invitation.
  private(set) var uninvited = SortedSet<Turn>()
  /// When invitations without an answer are to be repeated, or given up.
  private(set) var due = SortedSet<NodeAt>()
  /// At a scout: ready devices that may be offered a seat.
  private(set) var free = SortedSet<PhaseNode.Candidate>()
  /// At the root: whether moving quotas between regions again could change nothing.
  var quotasAreSettled = false

  let patience: Patience
  /// Regions that aggregate: a node delivers once, and nothing more comes of it in this phase.
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

  /// All that something is known of, in no order.
  var all: SharingDictionary<NodeID, PhaseNode> { nodes }
  /// Those with a seat, by id.
  var seats: [(node: NodeID, seat: Seat)] {
    nodes.compactMap { node, entry in entry.seat.map { (node, $0) } }.sorted { $0.node < $1.node }
  }

  /// The first seats that are not done, by id.
  func pendingSeats(most: Int) -> [(node: NodeID, seat: Seat)] {
    pending.prefix(most).compactMap { node in self[node].seat.map { (node, $0) } }
  }

  /// Those whose invitation is to be repeated or given up by now, by id.
  func due(at now: Instant) -> [NodeID] { due.prefix { $0.at <= now }.map(\.node).sorted() }

  /// Whether everything that may be expected of a node has come.
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

  /// - Parameters:
  ///   - old: what stands in the set for a node; nil: nothing does.
  ///   - new: what is to stand there instead.
  private static func move<Element>(in set: inout SortedSet<Element>, from old: Element?, to new: Element?) {
    guard old != new else { return }
    if let old { set.remove(old) }
    if let new { set.insert(new) }
  }
}

extension PhaseNode {
  /// Its place among those that may be offered a seat; nil: it may not.
  var free: Candidate? { seat == nil && !hasDelivered && offers < Self.mostOffers ? candidate : nil }

  /// A device that takes a seat and gives it up again, for whatever reason, is asked so often in one attempt.
  private static let mostOffers = 5

  fileprivate var isVacant: Bool { seat.map { $0.isLost && $0.replacement == nil } ?? false }
  /// Its turn to be invited; nil: it does not wait for that.
  fileprivate func turn(_ node: NodeID) -> PhaseNodes.Turn? {
    guard let seat, seat.askedAt != nil, seat.invitedAt == nil, !isReturning else { return nil }
    return PhaseNodes.Turn(turn: seat.turn, node: node)
  }

  /// What decides whether something is asked of it, or of others instead of it.
  fileprivate func share(_ deliversOnce: Bool) -> [Int] {
    guard let seat else { return [] }
    return [seat.quota, seat.moved, seat.isLost || seat.isShort ? 1 : 0, seat.have, deliversOnce && accepted > 0 ? 1 : 0]
  }

  fileprivate var isPending: Bool { seat.map { $0.state != .done } ?? false }

  /// Of its quota, the devices that it will not bring, without those that other nodes were asked for instead.
  func lack(_ deliversOnce: Bool) -> Int {
    guard let seat, seat.isLost || seat.isShort, !(deliversOnce && accepted > 0) else { return 0 }
    // What a region that aggregates has, it has not delivered yet: it still may.
    return seat.quota - (seat.isLost ? accepted : seat.have) - seat.moved
  }

  /// Contributions that may still come of it.
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

  /// When its invitation is to be repeated, or given up; nil while none has gone out, or it was answered. A node that is on its way back hears
  /// nothing yet: it is asked when it is there.
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
