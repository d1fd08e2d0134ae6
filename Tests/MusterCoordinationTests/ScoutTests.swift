import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("A scout, event by event")
struct ScoutTests {
  @Test("after the broker was away a region waits for the devices that were there, before it says that nobody is ready")
  func devicesReturn() throws {
    var region = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://north:7410"))
    var seconds = 0.0
    func tell(_ event: Coordinator.Event) -> [Coordinator.Effect] {
      region.handle(event, at: Instant.zero.advanced(bySeconds: seconds)).effects
    }
    let descriptor = TaskDescriptor(
      task: .digits, specification: specification(), revision: 1, state: .open, central: "http://central:7400")
    func birth(_ session: String) -> NodeState {
      NodeState(node: .pi(1), online: true, session: session, nodeKind: .device, capabilities: Capabilities(trainers: ["built-in"]))
    }
    _ = tell(.forward(descriptor))
    _ = tell(.node(birth("a")))
    _ = tell(.status(NodeStatus(node: .pi(1), task: .digits, state: .ready, devices: 1)))
    _ = tell(.disconnected)
    seconds = 30
    _ = tell(.connected)
    _ = tell(
      .order(
        Invitation(
          task: .digits, revision: 1, key: RoundKey(round: 1, phase: .train, attempt: 1), quota: 1, minimum: 1,
          base: ModelReference(digest: Digest(of: "base"), bytes: 10), upload: "http://central:7400/v1/x/north", seed: 5,
          secondsLeft: 600,
          startWithin: 0)))
    #expect(region.standing(.digits)?.state == .recruiting)
    var returned = region
    seconds = 74
    _ = tell(.tick)
    #expect(region.standing(.digits)?.state == .recruiting)
    #expect(region.nextDeadline == Instant.zero.advanced(bySeconds: 75))
    seconds = 75
    #expect(tell(.tick).contains(.standingChanged(.digits)))
    #expect(region.standing(.digits)?.state == .short)
    // A returning device is invited and has its whole time to answer. So has one that was already invited when the connection broke again.
    let effects = returned.handle(.node(birth("b")), at: Instant.zero.advanced(bySeconds: 50)).effects
    #expect(effects.contains { if case .invite(.pi(1), _) = $0 { true } else { false } })
    func tellReturned(_ event: Coordinator.Event, at seconds: Double) {
      _ = returned.handle(event, at: Instant.zero.advanced(bySeconds: seconds))
    }
    tellReturned(.disconnected, at: 51)
    tellReturned(.connected, at: 80)
    tellReturned(.tick, at: 100)
    #expect(returned.standing(.digits)?.state == .recruiting)
    tellReturned(.node(birth("c")), at: 101)
    tellReturned(.tick, at: 110)
    #expect(returned.standing(.digits)?.state == .recruiting)
    tellReturned(.tick, at: 111)
    #expect(returned.standing(.digits)?.state == .short)
  }
}
