import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

/// A broker with persistence and a device lose their power together, so no message ever says that the device is gone.
@Suite("Nodes that do not answer")
struct SilenceTests {
  private func ready(_ node: NodeID, retained: Bool = false) -> [Coordinator.Event] {
    [
      .node(
        NodeState(node: node, online: true, session: "1", nodeKind: .device, capabilities: Capabilities(trainers: ["built-in"])),
        retained: retained),
      .status(NodeStatus(node: node, task: .digits, state: .ready, devices: 1), retained: retained),
    ]
  }

  private func order(_ round: Int) -> Coordinator.Event {
    .order(
      Invitation(
        task: .digits, revision: 1, key: RoundKey(round: round, phase: .train, attempt: 1), quota: 1, minimum: 1,
        base: ModelReference(digest: Digest(of: "base"), bytes: 10), upload: "http://central:7400/v1/x/north", seed: 5, secondsLeft: 600,
        startWithin: 0))
  }

  @Test("count as not ready in every later round, until something new is heard of them", arguments: [false, true])
  func device(reconnects: Bool) {
    var region = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://north:7410"))
    var invited: [NodeID] = []
    func tell(_ event: Coordinator.Event, at seconds: Double) {
      let effects = region.handle(event, at: Instant.zero.advanced(bySeconds: seconds)).effects
      invited += effects.compactMap(\.invited)
    }
    tell(
      .forward(
        TaskDescriptor(
          task: .digits, specification: specification(), revision: 1, state: .open, central: "http://central:7400")), at: 0)
    for event in ready(.pi(1)) { tell(event, at: 0) }
    tell(order(1), at: 1)
    #expect(invited == [.pi(1)])
    tell(.tick, at: 11)
    #expect(region.silence(of: .pi(1)) == 10 && region.standing(.digits)?.state == .short)
    #expect(region.standing(.digits)?.readiness.waiting.first?.reason.contains("silent") == true)
    if reconnects {
      tell(.disconnected, at: 12)
      tell(.connected, at: 13)
      // Retained messages say nothing about the present.
      for event in ready(.pi(1), retained: true) { tell(event, at: 13) }
    }
    invited = []
    tell(order(2), at: 20)
    tell(.tick, at: 25)
    #expect(invited.isEmpty && region.standing(.digits)?.readiness.devices == 0)
    tell(ready(.pi(1))[1], at: 30)
    #expect(region.silence(of: .pi(1)) == nil && invited == [.pi(1)])
  }

  @Test("a new session is news, also when the broker remembered it")
  func newSession() {
    var bench = CentralBench()
    bench.tell(.tick, at: 10)
    #expect(bench.machine.silence(of: .north) == 10)
    bench.tell(.disconnected, at: 11)
    bench.tell(.connected, at: 12)
    bench.tell(.node(NodeState(node: .north, online: true, session: "2"), retained: true), at: 12)
    #expect(bench.machine.silence(of: .north) == nil)
  }

  @Test("a silent region is not counted on, and the explanation says so")
  func region() {
    var bench = CentralBench(specification(size: 2, minimum: 2, devices: false))
    bench.tell(.tick, at: 10)
    bench.tell(.tick, at: 70)
    #expect(bench.task?.stage == .recruiting)
    #expect(bench.why.contains("the region has been silent for") && bench.why.contains("north"), "\(bench.why)")
    #expect(bench.invited.isEmpty)
    bench.tell(.status(NodeStatus(node: .north, task: .digits, state: .ready, devices: 2)), at: 80)
    #expect(bench.invited == [.north])
  }

  @Test("they are called by the descriptor, less and less often, and not without a connection")
  func calls() {
    var bench = CentralBench(specification(size: 2, minimum: 2, devices: false))
    bench.tell(.tick, at: 10)
    bench.tell(.tick, at: 62)
    var calls: [Double] = []
    var at = 62.0
    while let deadline = bench.machine.nextDeadline, deadline < Instant.zero.advanced(bySeconds: 2000) {
      at = max(at + 0.001, Double(deadline.milliseconds) / 1000)
      bench.tell(.tick, at: at)
      if bench.effects.contains(where: { if case .publish = $0 { true } else { false } }) { calls.append(at.rounded()) }
    }
    #expect(calls.count <= 6 && calls.count >= 3, "\(calls)")
    #expect(zip(calls, calls.dropFirst()).map { $1 - $0 } == zip(calls, calls.dropFirst()).map { $1 - $0 }.sorted(), "\(calls)")
    bench.tell(.disconnected)
    #expect(bench.machine.nextCall == nil)
  }

  @Test("a participant announces itself when its coordinator's session changes, and a region asks what is still wanted")
  func announcement() {
    var region = RegionMachine(id: .north, above: .central, configuration: CoordinatorConfiguration(data: "http://north:7410"))
    func central(_ session: String) -> RegionMachine.Event {
      .above(.coordinator(CoordinatorState(coordinator: .central, online: true, session: session, data: "http://central:7400")))
    }
    func isAnnounced(_ effects: [RegionMachine.Effect]) -> Bool {
      effects.contains { if case .announce = $0 { true } else { false } }
    }
    #expect(!isAnnounced(region.handle(central("1"), at: .zero).effects), "its birth was said a moment ago")
    _ = region.handle(
      .above(
        .descriptor(
          TaskDescriptor(
            task: .digits, specification: specification(), revision: 1, state: .open, central: "http://central:7400"))), at: .zero)
    if case .order(let invitation) = order(1) { _ = region.handle(.above(.invitation(invitation)), at: .zero) }
    #expect(!isAnnounced(region.handle(central("1"), at: .zero).effects))
    let effects = region.handle(central("2"), at: .zero).effects
    #expect(isAnnounced(effects))
    #expect(effects.contains { if case .ask(let job) = $0 { job.task == .digits } else { false } })
  }

  @Test("a region shows how a task ended as central said it, and as before when central does not say it", arguments: [true, false])
  func outcome(says: Bool) throws {
    var region = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://north:7410"))
    var central = CentralBench()
    central.tell(.unstorable(.digits, reason: "x", bare: false))
    var descriptor = try #require(central.effects.compactMap { if case .publish(let descriptor) = $0 { descriptor } else { nil } }.last)
    #expect(descriptor.state == .closed && descriptor.outcome == .failed)
    if !says { descriptor.outcome = nil }
    _ = region.handle(.forward(descriptor), at: .zero)
    #expect(region.roundState(.digits)?.step == (says ? .failed : .completed))
    descriptor.outcome = .training
    #expect(descriptor.end == .completed)
  }
}
