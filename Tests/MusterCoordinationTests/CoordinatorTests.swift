import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("A coordinator, event by event")
struct CoordinatorTests {
  @Test("a push is accepted once, initialized once, and opens a round when devices are ready")
  func push() {
    var bench = CentralBench(nil)
    #expect(bench.tell(.accept(.digits, specification(size: 2, minimum: 1))).map(\.kind) == ["accepted"])
    #expect(bench.effects.contains(.initialize(.digits)))
    #expect(bench.tell(.accept(.digits, specification(rounds: 9))).isEmpty, "a retried push is one task")
    #expect(bench.tell(.aggregated(.digits, round: 0, CentralBench.model, refused: [])).isEmpty)
    #expect(bench.tell(.initialized(.digits, CentralBench.model)).map(\.kind) == ["published"])
    #expect(bench.tell(.initialized(.digits, CentralBench.model)).isEmpty)
    bench.tell(.node(NodeState(node: .north, online: true, session: "1")))
    #expect(bench.tell(.status(NodeStatus(node: .north, task: .digits, state: .ready, devices: 2))).map(\.kind) == ["opened"])
    #expect(bench.invited == [.north])
    #expect(bench.task?.train?.needed == 2 && bench.task?.train?.minimum == 1 && bench.task?.attempt == 1)
  }

  @Test("answers to contributions: stored, same, conflict, closed, unknown")
  func contributions() {
    var bench = CentralBench()
    #expect(bench.deliver(1, round: 2) == .closed("round 2 has not opened yet, round 1 is in progress"))
    #expect(bench.deliver(1, phase: .evaluate) == .closed("round 1 does not take evaluations now"))
    #expect(bench.deliver(1) == .stored && bench.deliver(1) == .same && bench.deliver(1, bytes: "b") == .conflict)
    #expect(bench.deliver(2) == .stored)
    #expect(bench.task?.stage == .aggregating && bench.effects.contains(.aggregate(.digits, round: 1)))
    #expect(bench.deliver(3) == .closed("round 1 no longer takes updates"))
    #expect(bench.deliver(1) == .same && bench.deliver(2, bytes: "b") == .conflict)
    bench.tell(.aggregated(.digits, round: 1, CentralBench.model, refused: []))
    bench.tell(.evaluated(.digits, round: 1, metrics: ["accuracy": 0.5]))
    #expect(bench.task?.round == 2 && bench.task?.stage == .training)
    #expect(bench.deliver(1, round: 1) == .closed("round 1 is closed, round 2 is in progress"), "what counted in it is in the history")
    #expect(bench.deliver(3, round: 1) == .closed("round 1 is closed, round 2 is in progress"))
    bench.tell(.cancel(.digits, reason: "enough"))
    #expect(bench.deliver(1, round: 2) == .closed("the task is cancelled: enough"))
    bench.tell(
      .contribution(
        .other, round: 1, phase: .train,
        ContributionRecord(path: NodePath(.north), digest: CentralBench.model.digest, weight: 1, bytes: 1, metrics: [:]),
        reply: Coordinator.Reply(1)
      ))
    #expect(bench.effects == [.answer(Coordinator.Reply(1), .unknown)])
  }

  @Test("work that comes too late, twice, or for another round changes nothing")
  func lateWork() {
    var bench = CentralBench()
    _ = bench.deliver(1)
    _ = bench.deliver(2)
    #expect(bench.tell(.aggregated(.digits, round: 2, CentralBench.model, refused: [])).isEmpty)
    #expect(bench.tell(.workFailed(.digits, .aggregate, round: 2, reason: "x")).isEmpty)
    #expect(bench.tell(.workFailed(.digits, .initialize, round: 0, reason: "x")).isEmpty)
    #expect(bench.tell(.evaluated(.digits, round: 5, metrics: [:])).isEmpty)
    #expect(bench.tell(.aggregated(.digits, round: 1, CentralBench.model, refused: [])).map(\.kind) == ["published"])
    #expect(bench.tell(.aggregated(.digits, round: 1, CentralBench.model, refused: [])).isEmpty)
  }

  @Test(
    "work that fails: initializing and aggregating end the task, evaluating only the evaluation",
    arguments: [
      (Coordinator.Work.initialize, "failed: the model could not be initialized: no trainer"),
      (.aggregate, "failed: round 1 could not be aggregated: no trainer"), (.evaluate, "round 2 waits for 2 of 2 updates"),
    ])
  func failedWork(work: Coordinator.Work, sentence: String) {
    var bench = CentralBench(work == .initialize ? nil : specification(size: 2, minimum: 1, devices: false))
    if work == .initialize { bench.tell(.accept(.digits, specification())) }
    if work != .initialize { _ = (bench.deliver(1), bench.deliver(2)) }
    if work == .evaluate { bench.tell(.aggregated(.digits, round: 1, CentralBench.model, refused: [])) }
    bench.tell(.workFailed(.digits, work, round: work == .initialize ? 0 : 1, reason: "no trainer"))
    #expect(
      bench.machine.explanation(.digits)?.sentence.hasPrefix(sentence) == true, "\(bench.machine.explanation(.digits)?.sentence ?? "")")
    if work == .evaluate {
      #expect(bench.missed == [.evaluate: [Waiting(node: "central", reason: "evaluation failed: no trainer")]])
    }
  }

  @Test("an undeclared region is heard and not invited; a region of another task neither")
  func undeclared() {
    var bench = CentralBench(specification(size: 1, minimum: 1), ready: 0)
    let east = NodeID(unchecked: "east")
    bench.tell(.node(NodeState(node: east, online: true, session: "1")))
    bench.tell(.status(NodeStatus(node: east, task: .digits, state: .ready, devices: 50)))
    #expect(bench.task?.stage == .recruiting && bench.machine.nodes[east]?.online == true)
  }

  @Test("an offline counts only in the session of the last birth")
  func sessions() {
    var bench = CentralBench()
    bench.tell(.node(NodeState(node: .north, online: false, session: "0")))
    #expect(bench.machine.nodes[.north]?.online == true)
    bench.tell(.node(NodeState(node: .north, online: false, session: "1")))
    #expect(bench.machine.nodes[.north]?.online == false)
    bench.tell(.node(NodeState(node: .north, online: true, session: "2")))
    #expect(bench.invited == [.north], "a birth hears again what it is owed")
    bench.tell(.node(NodeState(node: .south, online: false, session: "9")))
    #expect(bench.machine.nodes[.south]?.online == false, "a node that went offline before central started is listed")
  }

  @Test("an invitation is repeated, then given up; the round goes on with whoever else is there")
  func silence() {
    var bench = CentralBench()
    #expect(bench.machine.nextDeadline == Instant.zero.advanced(bySeconds: 2))
    bench.tell(.tick, at: 1.9)
    #expect(bench.invited == [])
    bench.tell(.tick, at: 2)
    #expect(bench.invited == [.north])
    bench.tell(.tick, at: 10)
    #expect(bench.task?.troubles == [Waiting(node: "north", reason: "did not answer its invitation", fate: .missed)])
    #expect(bench.task?.train?.nodes[.north].seat?.isLost == true)
    // The region was only slow.
    bench.tell(.status(NodeStatus(node: .north, task: .digits, state: .recruiting, round: 1, attempt: 1, phase: .train, have: 1, quota: 2)))
    #expect(bench.task?.train?.nodes[.north].seat?.isLost == false)
  }

  @Test("a region that was asked for more before it answered is asked again when it answers for less")
  func raisedWhileInvited() {
    var bench = CentralBench(specification(size: 4, minimum: 4, devices: false), ready: 3)
    bench.tell(.node(NodeState(node: .south, online: true, session: "1", nodeKind: .region)))
    bench.tell(.status(NodeStatus(node: .south, task: .digits, state: .ready, devices: 4, declined: 0)))
    func answer(_ node: NodeID, _ state: NodeStatus.State, have: Int, quota: Int) -> Coordinator.Event {
      .status(NodeStatus(node: node, task: .digits, state: state, round: 1, attempt: 1, phase: .train, have: have, quota: quota))
    }
    let quotas = [NodeID.north, .south].map { bench.task?.train?.nodes[$0].seat?.quota ?? 0 }
    #expect(quotas == [2, 2])
    bench.tell(answer(.north, .short, have: 1, quota: 2))
    #expect(bench.invited == [.south] && bench.invitation?.quota == 3)
    // That invitation is lost. This status answers the first one.
    bench.tell(answer(.south, .recruiting, have: 2, quota: 2), at: 1)
    bench.tell(.tick, at: 2)
    #expect(bench.invited == [.south] && bench.invitation?.quota == 3)
    bench.tell(answer(.south, .filled, have: 3, quota: 3), at: 3)
    bench.tell(.tick, at: 5)
    #expect(bench.invited == [])
  }

  @Test("the ready fraction holds a round back, and says so")
  func readyFraction() {
    var bench = CentralBench(specification(size: 2, minimum: 1, ready: 0.5), ready: 0)
    bench.tell(.status(NodeStatus(node: .north, task: .digits, state: .ready, devices: 2, declined: 6)))
    #expect(bench.task?.stage == .recruiting)
    #expect(bench.machine.explanation(.digits)?.sentence.contains("only 25 % of the devices that answered are ready") == true)
    bench.tell(.status(NodeStatus(node: .north, task: .digits, state: .ready, devices: 2, declined: 2)))
    #expect(bench.task?.stage == .training)
  }

  @Test("enough for the minimum, but not all: those who are on their way get a moment, and five at most")
  func gathering() {
    var bench = CentralBench(specification(size: 100, minimum: 2), ready: 0)
    func ready(_ count: Int, _ seconds: Double) {
      bench.tell(.status(NodeStatus(node: .north, task: .digits, state: .ready, devices: count)), at: seconds)
    }
    ready(1, 5)
    #expect(bench.machine.nextDeadline == bench.task?.expires, "too few: nothing to wait for but devices")
    for second in 0..<10 {
      ready(2 + second, 10 + Double(second))
      #expect(bench.task?.stage == .recruiting)
    }
    #expect(bench.machine.nextDeadline == Instant.zero.advanced(bySeconds: 20))
    bench.tell(.tick, at: 20)
    #expect(bench.task?.stage == .training && bench.task?.train?.needed == 11)
  }

  @Test("numbers from the wire that no fleet has are bounded", arguments: [Int.max, Int.min, -1])
  func hostileNumbers(number: Int) {
    var bench = CentralBench(specification(size: 3, minimum: 1))
    for region: NodeID in [.north, .south] {
      bench.tell(.node(NodeState(node: region, online: true, session: "\(number)")))
      bench.tell(.status(NodeStatus(node: region, task: .digits, state: .ready, devices: number, declined: number)))
      bench.tell(
        .status(
          NodeStatus(
            node: region, task: .digits, state: .filled, round: 1, attempt: 1, phase: .train, devices: number, declined: number,
            have: number,
            waiting: [Waiting(node: "a/b/c", reason: "x")], quota: number)))
      bench.tell(
        .status(NodeStatus(node: region, task: .digits, state: .done, round: number, attempt: number, phase: .evaluate, have: number)))
    }
    bench.tell(.tick, at: 1e9)
    #expect(bench.machine.roundState(.digits) != nil)
  }

  @Test("a scout bounds what its coordinator asks for", arguments: [Int.max, Int.min, 0])
  func hostileOrder(number: Int) {
    var scout = Coordinator(id: .north, configuration: CoordinatorConfiguration(data: "http://n"))
    let descriptor = TaskDescriptor(
      task: .digits, specification: specification(), revision: number, state: .open, central: "http://c", secondsLeft: 1e300)
    _ = scout.handle(.forward(descriptor), at: .zero)
    let order = Invitation(
      task: .digits, revision: number, key: RoundKey(round: number, phase: .train, attempt: number), quota: number, minimum: number,
      base: CentralBench.model, upload: "", seed: .max, secondsLeft: -1e300, startWithin: 1e300)
    _ = scout.handle(.order(order), at: .zero)
    _ = scout.handle(
      .node(NodeState(node: .pi(1), online: true, session: "1", resources: Resources(cores: number, load: -1e308))), at: .zero)
    _ = scout.handle(.status(NodeStatus(node: .pi(1), task: .digits, state: .ready, progress: 1e308)), at: .zero)
    _ = scout.handle(.tick, at: Instant.zero.advanced(bySeconds: 100))
    #expect(scout.standing(.digits) != nil && scout.roundState(.digits) != nil)
  }

  @Test("pause and resume grow the revision, twice is once, what ended stays ended")
  func revisions() {
    var bench = CentralBench()
    #expect(bench.tell(.resume(.digits)).isEmpty)
    #expect(bench.tell(.pause(.digits)) == [.revised(.digits, revision: 2, state: .paused)])
    #expect(bench.tell(.pause(.digits)).isEmpty)
    #expect(bench.tell(.resume(.digits)) == [.revised(.digits, revision: 3, state: .open)])
    #expect(bench.tell(.cancel(.digits, reason: "enough")).map(\.kind) == ["ended"])
    for event: Coordinator.Event in [.pause(.digits), .resume(.digits), .cancel(.digits, reason: "again")] {
      #expect(bench.tell(event).isEmpty)
    }
    #expect(bench.task?.descriptor.revision == 4 && bench.task?.descriptor.state == .cancelled)
  }

  @Test("device metrics are weighted by samples, over those that report them")
  func weighted() {
    func evaluation(_ device: Int, _ weight: Double, _ metrics: [String: Double]) -> ContributionRecord {
      ContributionRecord(path: NodePath(.north, .pi(device)), digest: CentralBench.model.digest, weight: weight, bytes: 1, metrics: metrics)
    }
    let metrics = Coordinator.weighted([
      evaluation(1, 1, ["accuracy": 0.5, "loss": 1]), evaluation(2, 3, ["accuracy": 0.9, "loss": .infinity]), evaluation(3, 1, [:]),
    ])
    #expect(metrics == ["accuracy": 0.8, "loss": 1])
    #expect(Coordinator.weighted([]) == nil)
  }

  @Test("blobs that something refers to: kept models, the round in progress, the last rounds' updates")
  func references() {
    var bench = CentralBench()
    let before = bench.machine.referencedBlobs
    #expect(before == [CentralBench.model.digest])
    _ = bench.deliver(1, bytes: "u1")
    #expect(bench.machine.referencedBlobs == [CentralBench.model.digest, Digest(of: "u1")])
  }
}
