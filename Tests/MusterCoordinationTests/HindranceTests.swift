import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

/// A job that cannot go on for now and is retried: the explanation says why.
@Suite struct HindranceTests {
  private let descriptor = TaskDescriptor(
    task: .digits, specification: specification(), revision: 1, state: .open, central: "http://central:7400")
  private let invitation = Invitation(
    task: .digits, revision: 1, key: RoundKey(round: 1, phase: .train, attempt: 1), quota: 1, minimum: 1,
    base: ModelReference(digest: Digest(of: "base"), bytes: 10), upload: "http://central:7400/v1/x/north", seed: 5, secondsLeft: 600,
    startWithin: 0)
  private let reason = "cannot fetch the model from http://10.0.0.9:7410: 10.0.0.9:7410 is unreachable"

  @Test("A device's status names what hinders it, until it does not any more")
  func device() {
    var device = Participant(id: .pi(1), coordinator: .north, capacity: 1)
    func tell(_ event: Participant.Event) -> [NodeStatus] {
      device.handle(event, at: .zero).effects.compactMap { if case .status(let status, _) = $0 { status } else { nil } }
    }
    _ = tell(.descriptor(descriptor))
    _ = tell(.readiness(.digits, Readiness(devices: 1)))
    _ = tell(.invitation(invitation))
    let key = invitation.key
    #expect(tell(.hindered(.digits, key, reason: reason)).map(\.reason) == [reason])
    #expect(tell(.hindered(.digits, key, reason: reason)) == [], "no news")
    #expect(tell(.hindered(.digits, RoundKey(round: 2, phase: .train, attempt: 1), reason: "other")) == [], "another job's")
    #expect(tell(.hindered(.digits, key, reason: nil)).map(\.reason) == [nil])
    _ = tell(.hindered(.digits, key, reason: reason))
    let finished = tell(.finished(.digits, key, JobResult(file: "update", digest: Digest(of: "u"), bytes: 1)))
    #expect(finished.map(\.state) == [.uploading] && finished.map(\.reason) == [nil])
    #expect(tell(.hindered(.digits, key, reason: "cannot deliver its result")).map(\.reason) == ["cannot deliver its result"])
  }

  @Test("`why` shows it beside the device")
  func why() {
    var region = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://north:7410"))
    func tell(_ event: Coordinator.Event) { _ = region.handle(event, at: .zero) }
    tell(.forward(descriptor))
    tell(
      .node(
        NodeState(node: .pi(1), online: true, session: "a", nodeKind: .device, capabilities: Capabilities(trainers: ["built-in"]))))
    tell(.status(NodeStatus(node: .pi(1), task: .digits, state: .ready, devices: 1)))
    tell(.order(invitation))
    var status = NodeStatus(node: .pi(1), task: .digits, state: .accepted, round: 1, attempt: 1, phase: .train, reason: reason)
    tell(.status(status))
    #expect(region.explanation(.digits)?.waiting == [Waiting(node: "pi-1", reason: reason)])
    status.reason = nil
    tell(.status(status))
    #expect(region.explanation(.digits)?.waiting == [Waiting(node: "pi-1", reason: "accepted")])
  }
}
