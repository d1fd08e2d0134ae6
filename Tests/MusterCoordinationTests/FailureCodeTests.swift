import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("What a region's failure means is in its code, not in its sentence")
struct FailureCodeTests {
  private func short(_ code: ErrorCode?, _ reason: String) -> Coordinator.Event {
    var status = NodeStatus(
      node: .north, task: .digits, state: .short, round: 1, attempt: 1, phase: .train, reason: reason, have: 0, quota: 2)
    status.code = code
    return .status(status)
  }

  @Test("central ends a task whose devices all failed alike when the code says so, whatever the sentence is")
  func code() {
    var bench = CentralBench()
    bench.tell(short(.everyDeviceFailed, "no memory"))
    bench.tell(.tick, at: 3)
    #expect(bench.task?.isEnded == true)
    #expect(bench.why == "failed: every invited device failed for the same reason: no memory", "\(bench.why)")
  }

  @Test("a sentence without the code is only a sentence")
  func sentence() {
    var bench = CentralBench()
    bench.tell(short(nil, "every device failed: no memory"))
    bench.tell(.tick, at: 3)
    #expect(bench.task?.isEnded == false && bench.task?.stage == .recruiting, "\(bench.why)")
  }

  @Test("a region says the code with its devices' common reason, and none when they differ", arguments: ["no memory", "no luck"])
  func region(second: String) {
    var region = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://north:7410"))
    func tell(_ event: Coordinator.Event) { _ = region.handle(event, at: .zero) }
    tell(
      .forward(
        TaskDescriptor(
          task: .digits, specification: specification(), revision: 1, state: .open, central: "http://central:7400")))
    for number in 1...2 {
      tell(
        .node(
          NodeState(node: .pi(number), online: true, session: "a", nodeKind: .device, capabilities: Capabilities(trainers: ["built-in"]))))
      tell(.status(NodeStatus(node: .pi(number), task: .digits, state: .ready, devices: 1)))
    }
    tell(
      .order(
        Invitation(
          task: .digits, revision: 1, key: RoundKey(round: 1, phase: .train, attempt: 1), quota: 2, minimum: 1,
          base: ModelReference(digest: Digest(of: "base"), bytes: 10), upload: "http://central:7400/v1/x/north", seed: 5,
          secondsLeft: 600, startWithin: 0)))
    for (number, reason) in [(1, "no memory"), (2, second)] {
      tell(
        .status(
          NodeStatus(node: .pi(number), task: .digits, state: .failed, round: 1, attempt: 1, phase: .train, reason: reason)))
    }
    let standing = region.standing(.digits)
    #expect(standing?.state == .short)
    #expect(standing?.code == (second == "no memory" ? .everyDeviceFailed : nil))
    if second == "no memory" { #expect(standing?.reason == "no memory") }
  }
}
