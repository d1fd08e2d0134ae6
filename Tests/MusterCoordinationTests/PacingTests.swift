import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

/// A server invites no faster than it receives answers, and reports its standing no more often than is useful to the coordinator above.
@Suite("Invitations and standings in their turn")
struct PacingTests {
  private static let devices = 1200

  private static func descriptor(revision: Int = 1, state: TaskDescriptor.State = .open) -> TaskDescriptor {
    TaskDescriptor(
      task: .digits, specification: specification(size: devices), revision: revision, state: state, central: "http://c", secondsLeft: 1000)
  }

  private static func order() -> Invitation {
    Invitation(
      task: .digits, revision: 1, key: RoundKey(round: 1, phase: .train, attempt: 1), quota: devices, minimum: 1,
      base: ModelReference(digest: Digest(of: "model"), bytes: 10), upload: "http://c/v1/tasks/digits/rounds/1/updates/north", seed: 1,
      secondsLeft: 60, startWithin: 0)
  }

  private static func status(_ device: Int, _ state: NodeStatus.State) -> NodeStatus {
    NodeStatus(node: .pi(device), task: .digits, state: state, round: 1, attempt: 1, phase: .train)
  }

  private static func scout() -> Coordinator {
    var scout = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://n"))
    _ = scout.handle(.forward(descriptor()), at: .zero)
    for device in 1...devices {
      _ = scout.handle(.node(NodeState(node: .pi(device), online: true, session: "1")), at: .zero)
      _ = scout.handle(.status(NodeStatus(node: .pi(device), task: .digits, state: .ready)), at: .zero)
    }
    return scout
  }

  private func invited(_ event: Coordinator.Event, _ scout: inout Coordinator, at milliseconds: Int64) -> [NodeID] {
    scout.handle(event, at: Instant(milliseconds: milliseconds)).effects.compactMap(\.invited)
  }

  @Test("each answer makes room for the next invitation, and nobody is invited twice without need")
  func answers() {
    var scout = Self.scout()
    var all = invited(.order(Self.order()), &scout, at: 0)
    #expect(all.count == 512)
    var milliseconds: Int64 = 0
    while all.count < Self.devices {
      milliseconds += 3
      let answer = NodeStatus(
        node: all[Int(milliseconds / 3) - 1], task: .digits, state: .accepted, round: 1, attempt: 1, phase: .train)
      all += invited(.status(answer), &scout, at: milliseconds)
    }
    #expect(Set(all).count == Self.devices && scout.standing(.digits)?.have == Self.devices - 512)
    #expect(scout.tasks[.digits]?.train?.nodes.uninvited.isEmpty == true)
  }

  @Test("who does not answer holds up the others for two seconds, and has the whole time to answer from his own invitation on")
  func silent() {
    var scout = Self.scout()
    let first = invited(.order(Self.order()), &scout, at: 0)
    #expect(scout.nextDeadline == Instant(milliseconds: 2000))
    let second = invited(.tick, &scout, at: 2000)
    #expect(Set(second).isSuperset(of: first) && second.count == 1024, "the first again, and the next")
    let third = invited(.tick, &scout, at: 4000)
    #expect(Set(third).count == third.count && Set(first + second + third).count == Self.devices)
    _ = invited(.tick, &scout, at: 10_000)
    let nodes = scout.tasks[.digits]?.train?.nodes
    #expect(nodes?.tally.lost == 512 && nodes?.tally.invited == Self.devices - 512, "only the first had their ten seconds")
  }

  @Test("invitations go out in the order in which the selection chose the devices")
  func selection() {
    var scout = Self.scout()
    var all = invited(.order(Self.order()), &scout, at: 0)
    while all.count < Self.devices {
      let answered = all.count
      for node in all.suffix(512) where all.count < Self.devices {
        let answer = NodeStatus(node: node, task: .digits, state: .accepted, round: 1, attempt: 1, phase: .train)
        all += invited(.status(answer), &scout, at: 1)
      }
      #expect(all.count > answered)
    }
    #expect(all == Seeds.shuffled((1...Self.devices).map(NodeID.pi), seed: 1))
  }

  @Test("nobody is invited while the ledger is asked whether the round goes on")
  func hold() {
    var scout = Self.scout()
    let first = invited(.order(Self.order()), &scout, at: 0)
    for node in first.prefix(2) {
      _ = invited(
        .status(NodeStatus(node: node, task: .digits, state: .accepted, round: 1, attempt: 1, phase: .train)), &scout, at: 1)
    }
    let refused = NodeStatus(node: first[0], task: .digits, state: .ready)
    let (_, effects) = scout.handle(.status(refused), at: Instant(milliseconds: 10))
    #expect(effects.contains(.consult(.digits)) && effects.compactMap(\.invited).isEmpty)
    let answer = NodeStatus(node: first[2], task: .digits, state: .accepted, round: 1, attempt: 1, phase: .train)
    #expect(invited(.status(answer), &scout, at: 20).isEmpty)
    let ledger = PhaseLedger(task: .digits, round: 1, phase: .train, open: true, accepted: [])
    #expect(!invited(.ledger(ledger), &scout, at: 30).isEmpty, "it goes on")
  }

  @Test("who is born again and again without an answer is lost after ten seconds all the same")
  func births() {
    var scout = Self.scout()
    let first = invited(.order(Self.order()), &scout, at: 0)[0]
    for second in 1...9 {
      _ = invited(.node(NodeState(node: first, online: true, session: "s\(second)")), &scout, at: Int64(second) * 1000)
    }
    #expect(scout.tasks[.digits]?.train?.nodes[first].seat?.isLost == false)
    _ = invited(.tick, &scout, at: 10_000)
    #expect(scout.tasks[.digits]?.train?.nodes[first].seat?.isLost == true)
  }

  @Test("those who do not answer are called together, ten seconds apart at least")
  func calls() {
    var scout = Self.scout()
    let first = invited(.order(Self.order()), &scout, at: 0)
    // The other devices are invited one by one, at many instants.
    for (index, node) in first.enumerated() {
      let answer = NodeStatus(node: node, task: .digits, state: .accepted, round: 1, attempt: 1, phase: .train)
      _ = invited(.status(answer), &scout, at: Int64(index) * 3)
    }
    var calls = 0
    var now = Instant(milliseconds: 12_000)
    while now < Instant(milliseconds: 110_000), let deadline = scout.nextDeadline {
      now = max(now, deadline)
      calls += scout.handle(.tick, at: now).effects.count { if case .publish = $0 { true } else { false } }
      now.milliseconds += 1
    }
    #expect((1...4).contains(calls), "\(calls)")
  }

  @Test("after a reconnection whoever has not answered is invited anew, in turn")
  func reconnection() {
    var scout = Self.scout()
    let first = invited(.order(Self.order()), &scout, at: 0)
    for node in first.prefix(100) {
      let answer = NodeStatus(node: node, task: .digits, state: .accepted, round: 1, attempt: 1, phase: .train)
      _ = invited(.status(answer), &scout, at: 1)
    }
    #expect(invited(.disconnected, &scout, at: 10).isEmpty)
    let owed = scout.tasks[.digits]?.train?.nodes.tally.invited ?? 0
    #expect(owed == Self.devices - 100)
    // All devices are expected back and have not subscribed yet, so an invitation would reach none of them.
    #expect(invited(.connected, &scout, at: 20).isEmpty)
    var again: [NodeID] = []
    for device in 1...Self.devices {
      again += invited(.node(NodeState(node: .pi(device), online: true, session: "2")), &scout, at: 30)
    }
    #expect(again.count == 512 && Set(again).isDisjoint(with: first.prefix(100)))
  }

  @Test("a region hands on where it stands at once, then at most ten times a second, and the last word always")
  func standings() {
    var region = RegionMachine(id: .north, above: .central, configuration: CoordinatorConfiguration(data: "http://n"))
    func said(_ event: RegionMachine.Event, at milliseconds: Int64) -> [Int?] {
      region.handle(event, at: Instant(milliseconds: milliseconds)).effects.compactMap {
        if case .status(let status, _) = $0 { status.devices } else { nil }
      }
    }
    _ = said(.above(.descriptor(Self.descriptor())), at: 0)
    func birth(_ device: Int) -> RegionMachine.Event { .below(.node(NodeState(node: .pi(device), online: true, session: "1"))) }
    func ready(_ device: Int) -> RegionMachine.Event { .below(.status(NodeStatus(node: .pi(device), task: .digits, state: .ready))) }
    for device in 1...3 { _ = said(birth(device), at: 0) }
    #expect(said(ready(1), at: 500) == [1])
    #expect(said(ready(2), at: 510).isEmpty && said(ready(3), at: 520).isEmpty)
    #expect(region.nextDeadline == Instant(milliseconds: 600))
    #expect(said(.tick, at: 599).isEmpty && said(.tick, at: 600) == [3])
    #expect(region.nextDeadline.map { $0 > Instant(milliseconds: 1000) } ?? true, "nothing more is due")
  }
}
