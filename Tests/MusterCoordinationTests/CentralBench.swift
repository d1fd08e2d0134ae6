import MusterSchema

@testable import MusterCoordination
@testable import MusterParticipation

/// Central with one region that has `ready` devices, and a round that is open.
struct CentralBench {
  static let model = ModelReference(digest: Digest(of: "model"), bytes: 10)

  var machine = Coordinator(id: .central, configuration: CoordinatorConfiguration(data: "http://c", declared: [.north, .south]))
  var now = 0.0
  var effects: [Coordinator.Effect] = []
  private var journal: [(at: Instant, record: Coordinator.Record)] = []

  init(_ specification: TaskSpecification? = specification(size: 2, minimum: 1, devices: false), ready: Int = 2) {
    guard let specification else { return }
    tell(.accept(.digits, specification))
    tell(.initialized(.digits, Self.model))
    tell(.node(NodeState(node: .north, online: true, session: "1", nodeKind: .region)))
    tell(.status(NodeStatus(node: .north, task: .digits, state: .ready, devices: ready, declined: 0)))
  }

  /// Central after a restart.
  init(restoring earlier: CentralBench) {
    machine = Coordinator(id: .central, configuration: earlier.machine.configuration, restoring: earlier.journal)
    now = earlier.now
  }

  @discardableResult
  mutating func tell(_ event: Coordinator.Event, at seconds: Double? = nil) -> [Coordinator.Record] {
    now = seconds ?? now
    let (records, effects) = machine.handle(event, at: Instant.zero.advanced(bySeconds: now))
    journal += records.map { (Instant.zero.advanced(bySeconds: now), $0) }
    self.effects = effects
    return records
  }

  mutating func deliver(_ device: Int, round: Int = 1, phase: Phase = .train, bytes: String = "a") -> Coordinator.Answer? {
    let contribution = ContributionRecord(
      path: NodePath(.north, .pi(device)), digest: Digest(of: bytes), weight: 1, bytes: 1, metrics: [:])
    tell(.contribution(.digits, round: round, phase: phase, contribution, reply: Coordinator.Reply(7)))
    return effects.compactMap { if case .answer(Coordinator.Reply(7), let answer) = $0 { answer } else { nil } }.first
  }

  var task: TaskRun? { machine.tasks[.digits] }
  var invited: [NodeID] { effects.compactMap(\.invited) }
  var invitation: Invitation? { effects.compactMap { if case .invite(_, let invitation) = $0 { invitation } else { nil } }.last }
  var why: String { machine.explanation(.digits)?.sentence ?? "" }
}

extension Sequence<Coordinator.Record> {
  /// The finished rounds, as these records report them to the history.
  var rounds: [RoundRecord] { compactMap { if case .completed(_, let round, _) = $0 { round } else { nil } } }
}

extension CentralBench {
  var rounds: [RoundRecord] { journal.map(\.record).rounds }
  /// The nodes that were invited in vain, except those that the records of rounds name.
  var missed: [Phase: [Waiting]] {
    journal.reduce(into: [:]) { missed, entry in
      if case .missed(_, let key, let nodes) = entry.record { missed[key.phase, default: []] += nodes }
    }
  }
}
