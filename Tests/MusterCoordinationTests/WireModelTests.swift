import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("Models that travel in another form than they are kept")
struct WireModelTests {
  private func reference(_ name: String) -> ModelReference { ModelReference(digest: Digest(of: name), bytes: 10) }

  /// Central with one region, and the encoded task's first round open.
  private struct Bench {
    var machine = Coordinator(id: .central, configuration: CoordinatorConfiguration(data: "http://c", declared: [.north]))
    var records: [(at: Instant, record: Coordinator.Record)] = []
    var effects: [Coordinator.Effect] = []

    @discardableResult
    mutating func tell(_ event: Coordinator.Event) -> [Coordinator.Record] {
      let (records, effects) = machine.handle(event, at: .zero)
      self.records += records.map { (.zero, $0) }
      self.effects = effects
      return records
    }

    mutating func deliver(_ round: Int, _ phase: Phase, _ path: NodePath) {
      let contribution = ContributionRecord(path: path, digest: Digest(of: "u"), weight: 1, bytes: 1, metrics: [:])
      tell(.contribution(.digits, round: round, phase: phase, contribution, reply: Coordinator.Reply(1)))
    }

    var invitation: Invitation? { effects.compactMap { if case .invite(_, let invitation) = $0 { invitation } else { nil } }.last }
    var run: TaskRun? { machine.tasks[.digits] }
  }

  @Test("devices are sent the encoded copy, central aggregates onto and records its own, and both stay, over a restart too")
  func wire() throws {
    var bench = Bench()
    var task = specification(rounds: 2, size: 1, minimum: 1, devices: true)
    task.encoding = .int8
    bench.tell(.accept(.digits, task))
    bench.tell(.initialized(.digits, reference("m0"), wire: reference("w0")))
    bench.tell(.node(NodeState(node: .north, online: true, session: "1", nodeKind: .region)))
    bench.tell(.status(NodeStatus(node: .north, task: .digits, state: .ready, devices: 1, declined: 0)))
    #expect(bench.invitation?.base == reference("w0"))
    #expect(bench.run?.ledger(round: 1, phase: .train)?.base == Digest(of: "w0"), "what an update says that it started from")
    bench.deliver(1, .train, NodePath(.north, .pi(1)))
    #expect(bench.effects.contains(.aggregate(.digits, round: 1)))
    #expect(bench.run?.frozenUpdates?.base == Digest(of: "m0"))

    bench.tell(.aggregated(.digits, round: 1, reference("m1"), wire: reference("w1"), refused: []))
    #expect(bench.invitation?.base == reference("w1") && bench.invitation?.phase == .evaluate)
    let blobs = Set(["m0", "w0", "m1", "w1"].map { Digest(of: $0) })
    #expect(bench.machine.referencedBlobs.isSuperset(of: blobs))
    let restored = Coordinator(
      id: .central, configuration: CoordinatorConfiguration(data: "http://c", declared: [.north]), restoring: bench.records)
    #expect(restored.referencedBlobs == bench.machine.referencedBlobs)
    #expect(restored.tasks[.digits]?.models.map(\.wire) == [reference("w0"), reference("w1")])

    bench.tell(.evaluated(.digits, round: 1, metrics: [:]))
    bench.deliver(1, .evaluate, NodePath(.north, .pi(1)))
    #expect(
      bench.records.map(\.record).rounds.first?.base == Digest(of: "m0")
        && bench.records.map(\.record).rounds.first?.result == Digest(of: "m1"))
  }

  @Test("a model's record from before encodings is read")
  func earlier() throws {
    let digest = Digest(of: "m0")
    let text =
      #"{"published":{"_0":"digits","round":0,"_2":{"bytes":10,"digest":"\#(digest)","path":"/v1/blobs/\#(digest)"},"refused":[]}}"#
    let record = try JSON.decode(Coordinator.Record.self, from: Array(text.utf8))
    #expect(record == .published(.digits, round: 0, PublishedModel(reference("m0"), wire: nil), refused: []))
  }
}
