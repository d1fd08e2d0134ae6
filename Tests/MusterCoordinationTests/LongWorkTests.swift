import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("Long work that takes longer than what it is for")
struct LongWorkTests {
  private let descriptor = TaskDescriptor(
    task: .digits, specification: specification(upload: .region), revision: 1, state: .open, central: "http://central:7400")
  private let result = JobResult(file: "combined", digest: Digest(of: "combined"), bytes: 10)

  private func order(_ round: Int, _ attempt: Int) -> Invitation {
    Invitation(
      task: .digits, revision: 1, key: RoundKey(round: round, phase: .train, attempt: attempt), quota: 1, minimum: 1,
      base: ModelReference(digest: Digest(of: "base"), bytes: 10), upload: "http://central:7400/v1/x/north", seed: 5, secondsLeft: 600,
      startWithin: 0)
  }

  /// A region that has received the update of a device for this order.
  private func region(_ order: Invitation, device number: Int, in region: RegionMachine? = nil, at now: Instant = .zero) -> RegionMachine {
    var region =
      region ?? RegionMachine(id: .north, above: .central, configuration: CoordinatorConfiguration(data: "http://north:7410"))
    let device = NodeState(
      node: .pi(number), online: true, session: "a", nodeKind: .device, capabilities: Capabilities(trainers: ["built-in"]))
    let update = ContributionRecord(
      path: NodePath(.north, .pi(number)), digest: Digest(of: "\(order.key)"), weight: 10, bytes: 10, metrics: [:])
    let events: [RegionMachine.Event] = [
      .above(.descriptor(descriptor)), .below(.node(device)),
      .below(.status(NodeStatus(node: .pi(number), task: .digits, state: .ready, devices: 1))), .above(.invitation(order)),
      .below(.contribution(.digits, round: order.round, phase: .train, update, reply: .init(1))),
    ]
    for event in events { _ = region.handle(event, at: now) }
    return region
  }

  @Test("what was made of an earlier attempt's set is not taken for that of the attempt in progress")
  func earlierAttempt() {
    var region = region(order(1, 1), device: 1)
    #expect(region.coordinator.tasks[.digits]?.isAggregating == true)
    // Central no longer expected the region's contribution to this attempt, and invites it to another one.
    let later = Instant(milliseconds: 60_000)
    _ = region.handle(.above(.failed(.digits, order(1, 1).key, reason: "lost")), at: .zero)
    _ = region.handle(.below(.release(.digits, reason: "lost")), at: .zero)
    region = self.region(order(1, 2), device: 2, in: region, at: later)
    #expect(region.coordinator.tasks[.digits]?.order?.key == order(1, 2).key)
    #expect(region.coordinator.tasks[.digits]?.isAggregating == true)
    let late = Combined(result: result, refused: [])
    #expect(region.handle(.below(.combined(.digits, order(1, 1).key, late)), at: later).records.isEmpty)
    let failure = Coordinator.Event.workFailed(.digits, .aggregate, round: 1, key: order(1, 1).key, reason: "late")
    #expect(region.handle(.below(failure), at: later).records.isEmpty)
    #expect(region.handle(.below(.combined(.digits, order(1, 2).key, late)), at: later).records.isEmpty == false)
  }

  @Test("trouble that passes is said in the explanation, and ends nothing")
  func delay() {
    var bench = CentralBench()
    _ = (bench.deliver(1), bench.deliver(2))
    #expect(bench.tell(.workDelayed(.digits, .aggregate, round: 1, reason: "No space left on device")).isEmpty)
    #expect(bench.why.contains("retried") && bench.why.contains("No space left on device"), "\(bench.why)")
    bench.tell(.workDelayed(.digits, .aggregate, round: 7, reason: "of another round"))
    bench.tell(.workDelayed(.digits, .initialize, round: 0, reason: "of other work"))
    #expect(!bench.why.contains("other"), "\(bench.why)")
    bench.tell(.aggregated(.digits, round: 1, CentralBench.model, refused: []))
    #expect(!bench.why.contains("No space left"), "\(bench.why)")
  }
}

@Suite("A record that can never be stored")
struct UnstorableTests {
  @Test("fails its task at the root, with the round's record when that can be stored", arguments: [false, true])
  func root(bare: Bool) {
    var bench = CentralBench()
    _ = bench.deliver(1)
    let records = bench.tell(.unstorable(.digits, reason: "metrics.loss is inf", bare: bare))
    #expect(records.map(\.kind) == (bare ? ["ended"] : ["completed", "summarized", "ended"]))
    #expect(bench.why.contains("cannot be stored: metrics.loss is inf"), "\(bench.why)")
    #expect(bench.task?.isEnded == true)
    #expect(bench.tell(.unstorable(.digits, reason: "again", bare: bare)).isEmpty)
  }

  @Test("fails a region's order, and the region says so above")
  func region() throws {
    var region = RegionMachine(id: .north, above: .central, configuration: CoordinatorConfiguration(data: "http://north:7410"))
    let descriptor = TaskDescriptor(
      task: .digits, specification: specification(upload: .region), revision: 1, state: .open, central: "http://central:7400")
    let order = Invitation(
      task: .digits, revision: 1, key: RoundKey(round: 1, phase: .train, attempt: 1), quota: 1, minimum: 1,
      base: ModelReference(digest: Digest(of: "base"), bytes: 10), upload: "http://central:7400/v1/x/north", seed: 5, secondsLeft: 600,
      startWithin: 0)
    _ = region.handle(.above(.descriptor(descriptor)), at: .zero)
    _ = region.handle(.above(.invitation(order)), at: .zero)
    let effects = region.handle(RegionMachine.unstorable(.digits, reason: "poison", bare: false), at: .zero).effects
    let said = effects.compactMap { if case .status(let status, _) = $0 { status } else { nil } }
    #expect(said.contains { $0.state == .failed && $0.reason?.contains("cannot be stored: poison") == true }, "\(said)")
    #expect(region.participant.jobs.isEmpty)
  }
}
