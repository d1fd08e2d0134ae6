import MusterSchema
import TestSupport
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("What the nodes of a phase come to")
struct PhaseNodesTests {
  private static let patience = PhaseNodes.Patience(repeatSeconds: 2, answerSeconds: 10)

  @Test("is what counting all of them gives, whatever happened before", arguments: [false, true])
  func counts(deliversOnce: Bool) {
    var random = SeededGenerator(seed: 7)
    var nodes = PhaseNodes(Self.patience, deliversOnce: deliversOnce)
    for step in 0..<20_000 {
      let node = NodeID(unchecked: "pi-\(random.next() % 40)")
      change(&nodes[node], &random)
      if step % 100 == 0 { check(nodes) }
    }
    check(nodes)
  }

  private func change(_ node: inout PhaseNode, _ random: inout SeededGenerator) {
    func number(_ below: UInt64) -> Int { Int(random.next() % below) }
    func instant() -> Instant { Instant(milliseconds: Int64(number(20_000))) }
    switch number(15) {
    case 0: node.seat = nil
    case 1: node.seat = Seat(quota: number(5), since: instant(), turn: number(9))
    case 2: node.seat?.state = .invited
    case 3: node.seat?.state = .working(progress: nil)
    case 4: node.seat?.state = .done
    case 5: node.seat?.state = .lost(reason: "x", fate: number(2) == 0 ? .failed : .missed)
    case 6: node.seat?.invitedAt = number(4) == 0 ? nil : instant()
    case 7: node.seat?.raisedAt = number(2) == 0 ? nil : instant()
    case 8: node.seat?.have = number(5)
    case 9: node.seat?.isShort = number(2) == 0
    case 10: node.seat?.replacement = number(2) == 0 ? nil : NodeID(unchecked: "pi-99")
    case 11: node.accepted = number(4)
    case 12: node.hasDelivered.toggle()
    case 13: node.seat?.isRepeated.toggle()
    default: node.isReturning.toggle()
    }
  }

  /// Compares the counts and sets, which are updated with each change, with a full recount.
  private func check(_ nodes: PhaseNodes) {
    let entries = nodes.all.sorted { $0.key < $1.key }
    let seats = entries.compactMap { node, entry in entry.seat.map { (node: node, entry: entry, seat: $0) } }
    let isOut = { (entry: PhaseNode) in nodes.deliversOnce && entry.accepted > 0 }
    #expect(nodes.tally.quota == seats.reduce(0) { $0 + $1.seat.quota })
    #expect(nodes.tally.invited == seats.count { $0.seat.state == .invited })
    #expect(nodes.tally.fresh == seats.count { $0.seat.state == .invited && $0.seat.invitedAt != nil && !$0.seat.isRepeated })
    #expect(nodes.tally.done == seats.count { $0.seat.state == .done })
    #expect(nodes.tally.lost == seats.count { $0.seat.isLost })
    #expect(nodes.tally.holding == seats.count { !$0.seat.isLost } + entries.count { $0.value.seat == nil && $0.value.hasDelivered })
    #expect(nodes.tally.atWork == nodes.tally.holding - nodes.tally.invited)
    #expect(nodes.tally.returning == entries.count { $0.value.isReturning && $0.value.seat == nil && !$0.value.hasDelivered })
    #expect(
      nodes.tally.outstanding
        == seats.filter { !isOut($0.entry) && !$0.seat.isLost }.reduce(0) { sum, node in
          let seat = node.seat
          let expected = seat.state == .invited ? seat.quota : seat.isShort ? seat.have : max(seat.quota, seat.have)
          return sum + max(0, expected - node.entry.accepted)
        })
    #expect(Array(nodes.vacancies) == seats.filter { $0.seat.isLost && $0.seat.replacement == nil }.map(\.node))
    #expect(Array(nodes.pending) == seats.filter { $0.seat.state != .done }.map(\.node))
    #expect(
      Array(nodes.lacking)
        == seats.filter { node in
          let has = node.seat.isLost ? node.entry.accepted : node.seat.have
          return (node.seat.isLost || node.seat.isShort) && !isOut(node.entry) && has + node.seat.moved < node.seat.quota
        }.map(\.node))
    #expect(
      nodes.uninvited.map(\.node)
        == seats.filter { $0.seat.askedAt != nil && $0.seat.invitedAt == nil && !$0.entry.isReturning }
        .sorted { ($0.seat.turn, $0.node) < ($1.seat.turn, $1.node) }.map(\.node))
    #expect(nodes.seats.map(\.node) == seats.map(\.node))
    for now in [0, 5_000, 12_000, 40_000].map({ Instant(milliseconds: $0) }) {
      #expect(
        nodes.due(at: now)
          == seats.filter { node in
            guard let asked = node.seat.askedAt, let invited = node.seat.invitedAt, !node.entry.isReturning else { return false }
            return now.seconds(since: asked) >= 10 || now.seconds(since: invited) >= 2
          }.map(\.node))
    }
  }
}
