import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

/// Central goes on as soon as it has a region's contribution. Its next message may arrive before the answer to the upload, or the region
/// may have been killed before that answer.
@Suite("A region whose contribution is on its way")
struct RegionDeliveryTests {
  enum Next: CaseIterable { case order, end }
  enum Outcome: CaseIterable { case delivered, refused }

  private let train = RoundKey(round: 1, phase: .train, attempt: 1)
  private let descriptor = TaskDescriptor(
    task: .digits, specification: specification(upload: .region), revision: 1, state: .open, central: "http://central:7400")

  private func order(_ phase: Phase) -> Invitation {
    Invitation(
      task: .digits, revision: 1, key: RoundKey(round: 1, phase: phase, attempt: 1), quota: 1, minimum: 1,
      base: ModelReference(digest: Digest(of: "base"), bytes: 10), upload: "http://central:7400/v1/x/north", seed: 5, secondsLeft: 600,
      startWithin: 0)
  }

  @Test(
    "records what the ledger says of it, and then hears what came meanwhile; a restart changes nothing",
    arguments: Next.allCases, Outcome.allCases)
  func nextWordFirst(next: Next, outcome: Outcome) throws {
    for restarts in [false, true] { try deliver(next, outcome, restarts: restarts) }
  }

  private func deliver(_ next: Next, _ outcome: Outcome, restarts: Bool) throws {
    let configuration = CoordinatorConfiguration(data: "http://north:7410")
    var region = RegionMachine(id: .north, above: .central, configuration: configuration)
    var records: [(at: Instant, record: RegionMachine.Record)] = []
    @discardableResult func tell(_ event: RegionMachine.Event) -> [RegionMachine.Effect] {
      let (new, effects) = region.handle(event, at: .zero)
      records += new.map { (.zero, $0) }
      return effects
    }
    tell(.above(.descriptor(descriptor)))
    tell(
      .below(
        .node(
          NodeState(node: .pi(1), online: true, session: "a", nodeKind: .device, capabilities: Capabilities(trainers: ["built-in"])))))
    tell(.below(.status(NodeStatus(node: .pi(1), task: .digits, state: .ready, devices: 1))))
    tell(.above(.invitation(order(.train))))
    let update = ContributionRecord(path: NodePath(.north, .pi(1)), digest: Digest(of: "update"), weight: 10, bytes: 10, metrics: [:])
    tell(.below(.contribution(.digits, round: 1, phase: .train, update, reply: .init(1))))
    let result = JobResult(file: "combined", digest: Digest(of: "combined"), bytes: 10)
    let effects = tell(.below(.combined(.digits, train, Combined(result: result, refused: []))))
    #expect(effects.contains { if case .upload = $0 { true } else { false } })

    if restarts {
      region = RegionMachine(id: .north, above: .central, configuration: configuration, restoring: records)
      tell(.above(.descriptor(descriptor)))
    }
    var end = descriptor
    (end.state, end.revision) = (.closed, 2)
    let asked = tell(.above(next == .order ? .invitation(order(.evaluate)) : .descriptor(end)))
    #expect(asked.contains { if case .ask(let job) = $0 { job.key == train } else { false } })
    #expect(rounds(records).isEmpty)

    tell(.above(outcome == .delivered ? .delivered(.digits, train) : .refused(.digits, train, reason: "round 1 is closed")))
    let run = try #require(region.coordinator.tasks[.digits])
    #expect(rounds(records).map(\.round) == [1])
    #expect(rounds(records).first?.updates.map(\.fate) == [outcome == .delivered ? .counted : .abandoned])
    #expect(rounds(records).first?.updates.first?.reason == (outcome == .delivered ? nil : "round 1 is closed"))
    switch next {
    case .order: #expect(region.participant.jobs[.digits]?.key.phase == .evaluate && run.order?.phase == .evaluate)
    case .end: #expect(region.participant.jobs.isEmpty && run.isEnded)
    }
    // All of this is durable.
    let again = RegionMachine(id: .north, above: .central, configuration: configuration, restoring: records)
    #expect(again.coordinator.tasks[.digits]?.progress == run.progress)
  }

  private func rounds(_ records: [(at: Instant, record: RegionMachine.Record)]) -> [RoundRecord] {
    records.compactMap { if case .below(let record) = $0.record { record } else { nil } }.rounds
  }
}
