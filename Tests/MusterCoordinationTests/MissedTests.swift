import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("Who was invited in vain")
struct MissedTests {
  private func status(
    _ region: NodeID, _ state: NodeStatus.State, _ phase: Phase = .train, quota: Int, have: Int, waiting: [Waiting] = [],
    reason: String? = nil
  ) -> Coordinator.Event {
    .status(
      NodeStatus(
        node: region, task: .digits, state: state, round: 1, attempt: 1, phase: phase, reason: reason, devices: 4, have: have,
        waiting: waiting,
        quota: quota))
  }

  private func deliver(_ bench: inout CentralBench, _ region: NodeID, _ device: Int, _ phase: Phase = .train) {
    let contribution = ContributionRecord(
      path: NodePath(region, .pi(device)), digest: Digest(of: "\(region) \(device)"), weight: 1, bytes: 1, metrics: [:])
    bench.tell(.contribution(.digits, round: 1, phase: phase, contribution, reply: Coordinator.Reply(1)))
  }

  @Test("the round's record names devices that did not deliver, and counts those that nobody named")
  func training() throws {
    var bench = CentralBench(specification(size: 4, minimum: 1, devices: false), ready: 4)
    bench.tell(status(.north, .filled, quota: 4, have: 4, waiting: [Waiting(node: "pi-2", reason: "trains, 50 %")]))
    deliver(&bench, .north, 1)
    bench.tell(.tick, at: 10_000)
    bench.tell(.aggregated(.digits, round: 1, CentralBench.model, refused: []))
    bench.tell(.evaluated(.digits, round: 1, metrics: [:]))
    #expect(
      bench.rounds.first?.missed == [
        Waiting(node: "north/pi-2", reason: "trains, 50 %"), Waiting(node: "north", reason: "3 of 4 devices did not deliver"),
      ])
    #expect(bench.missed.isEmpty)
  }

  @Test("what a region lacked and another delivered in its place was not missed")
  func madeGood() throws {
    var bench = CentralBench(specification(size: 3, minimum: 3, devices: false), ready: 2)
    bench.tell(.node(NodeState(node: .south, online: true, session: "1", nodeKind: .region)))
    bench.tell(.status(NodeStatus(node: .south, task: .digits, state: .ready, devices: 4, declined: 0)))
    let quotas = try #require(bench.task?.train?.nodes.seats).map { ($0.0, $0.1.quota) }
    #expect(quotas.map(\.0) == [.north, .south] && quotas.map(\.1).reduce(0, +) == 3)
    let failed = [Waiting(node: "pi-9", reason: "the trainer failed")]
    bench.tell(status(.north, .short, quota: quotas[0].1, have: 0, waiting: failed, reason: "its devices are busy"))
    #expect(bench.task?.train?.nodes[.south].seat?.quota == 3, "\(bench.why)")
    for device in 1...3 { deliver(&bench, .south, device) }
    bench.tell(.aggregated(.digits, round: 1, CentralBench.model, refused: []))
    bench.tell(.evaluated(.digits, round: 1, metrics: [:]))
    #expect(bench.rounds.first?.missed == [Waiting(node: "north/pi-9", reason: "the trainer failed")], "the device did")
  }

  @Test("devices that do not evaluate have rows of their own, in their phase")
  func evaluation() throws {
    var bench = CentralBench(specification(size: 2, minimum: 1, devices: true), ready: 2)
    for device in 1...2 { deliver(&bench, .north, device) }
    bench.tell(.aggregated(.digits, round: 1, CentralBench.model, refused: []))
    bench.tell(.evaluated(.digits, round: 1, metrics: [:]))
    #expect(bench.task?.evaluation != nil)
    bench.tell(status(.north, .filled, .evaluate, quota: 2, have: 2, waiting: [Waiting(node: "pi-2", reason: "the trainer failed")]))
    deliver(&bench, .north, 1, .evaluate)
    bench.tell(.tick, at: 10_000)
    #expect(bench.rounds.first?.missed == [])
    #expect(bench.rounds.first?.evaluations.count == 1)
    #expect(bench.missed == [.evaluate: [Waiting(node: "north/pi-2", reason: "the trainer failed")]])
  }

  @Test("a task that an operator cancels names who was lost, and nobody who was at work")
  func cancelled() {
    var bench = CentralBench(specification(size: 2, minimum: 1, devices: false), ready: 2)
    bench.tell(status(.north, .filled, quota: 2, have: 1, waiting: [Waiting(node: "pi-2", reason: "the trainer failed")]))
    bench.tell(.cancel(.digits, reason: "enough"))
    #expect(bench.missed == [.train: [Waiting(node: "north/pi-2", reason: "the trainer failed")]])
  }
}
