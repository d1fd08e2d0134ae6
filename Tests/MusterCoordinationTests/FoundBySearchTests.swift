import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

/// Faults that the search has found, each reduced to a few steps.
@Suite("Found by the search for faults")
struct FoundBySearchTests {
  private func descriptor(revision: Int = 1, state: TaskDescriptor.State = .open) -> TaskDescriptor {
    TaskDescriptor(task: .digits, specification: specification(), revision: revision, state: state, central: "http://c", secondsLeft: 1000)
  }

  /// The region north, with an order for two of its three devices.
  private func scout() -> Coordinator {
    var scout = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://n"))
    _ = scout.handle(.forward(descriptor()), at: .zero)
    for number in 1...3 {
      _ = scout.handle(.node(NodeState(node: .pi(number), online: true, session: "\(number)")), at: .zero)
      _ = scout.handle(.status(NodeStatus(node: .pi(number), task: .digits, state: .ready)), at: .zero)
    }
    return scout
  }

  private func order(attempt: Int) -> Invitation {
    Invitation(
      task: .digits, revision: 1, key: RoundKey(round: 1, phase: .train, attempt: attempt), quota: 3, minimum: 1,
      base: ModelReference(digest: Digest(of: "model"), bytes: 10), upload: "http://c/v1/tasks/digits/rounds/1/updates/north", seed: 1,
      secondsLeft: 60, startWithin: 0)
  }

  @Test("a device that only said that it was done has a place again once the ledger has spoken")
  func falseDone() throws {
    var scout = scout()
    _ = scout.handle(.order(order(attempt: 1)), at: .zero)
    for number in 1...3 {
      let done = NodeStatus(node: .pi(number), task: .digits, state: .done, round: 1, attempt: 1, phase: .train)
      _ = scout.handle(.status(done), at: .zero)
    }
    #expect(scout.standing(.digits)?.have == 3)
    let (_, effects) = scout.handle(.order(order(attempt: 2)), at: .zero)
    #expect(effects.contains(.consult(.digits)))
    let ledger = PhaseLedger(task: .digits, round: 1, phase: .train, open: true, accepted: [NodePath(.north, .pi(2))])
    let (_, invitations) = scout.handle(.ledger(ledger), at: .zero)
    #expect(invitations.compactMap(\.invited).sorted() == [.pi(1), .pi(3)])
    #expect(scout.standing(.digits)?.have == 1)
  }

  @Test("a region that has forgotten a task hands on its end all the same")
  func forgottenEnd() {
    var scout = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://n"))
    let (_, effects) = scout.handle(.forward(descriptor(revision: 4, state: .closed)), at: .zero)
    #expect(effects.contains { if case .publish(let descriptor) = $0 { descriptor.state == .closed } else { false } })
  }

  @Test("a status that stands on a topic of a task that nobody knows is cleared; one that was just said is not")
  func unknownStatus() {
    var scout = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://n"))
    let status = NodeStatus(node: .pi(1), task: .digits, state: .ready)
    #expect(
      scout.handle(.status(status, retained: true), at: .zero).effects
        == [.clear(.nodeStatus(coordinator: .north, node: .pi(1), task: .digits))])
    #expect(scout.handle(.status(status), at: .zero).effects.isEmpty)
    // A new store knows too little to judge the status.
    scout.configuration.storeIsNew = true
    #expect(scout.handle(.status(status, retained: true), at: .zero).effects.isEmpty)
  }

  @Test("a device repeats its status for each descriptor, revised or not", arguments: [1, 2])
  func repeatedStatus(revision: Int) {
    var device = Participant(id: .pi(1), coordinator: .north, capacity: 1)
    _ = device.handle(.descriptor(descriptor()), at: .zero)
    _ = device.handle(.readiness(.digits, .ready), at: .zero)
    var again = descriptor(revision: revision)
    again.secondsLeft = 900
    let (_, effects) = device.handle(.descriptor(again), at: .zero)
    #expect(effects.contains { if case .status(let status, _) = $0 { status.state == .ready } else { false } })
  }

  @Test("events that nobody repeats are told from those that somebody does")
  func repetition() {
    #expect(!Coordinator.Event.connected.isRepeated && !RegionMachine.Event.above(.connected).isRepeated)
    #expect(!Coordinator.Event.node(NodeState(node: .north, online: true, session: "1")).isRepeated)
    #expect(Coordinator.Event.tick.isRepeated && RegionMachine.Event.tick.isRepeated)
    #expect(RegionMachine.Event.below(.initialized(.digits, ModelReference(digest: Digest(of: "model"), bytes: 1))).isRepeated)
  }
}
