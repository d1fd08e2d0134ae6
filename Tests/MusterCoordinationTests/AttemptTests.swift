import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("Further attempts at a round")
struct AttemptTests {
  private func refusal(_ numbers: Int...) -> [Waiting] {
    numbers.map { Waiting(node: "north/pi-\($0)", reason: "a number in fc1.weight is NaN") }
  }

  /// Two of a region's devices have delivered, and the strategy refused one update although its rule needs two.
  private func short(ready: Int, maxAttempts: Int = 5) -> CentralBench {
    var bench = CentralBench(specification(rounds: 1, size: 2, minimum: 2, devices: false, maxAttempts: maxAttempts), ready: ready)
    _ = (bench.deliver(1), bench.deliver(2))
    bench.tell(.fellShort(.digits, round: 1, refused: refusal(1), reason: "krum needs 2 updates; 1 was refused: north/pi-1"))
    return bench
  }

  @Test("an attempt asks a region for what it delivered, and what is missing")
  func quota() {
    var bench = CentralBench(specification(size: 3, minimum: 3, devices: false), ready: 3)
    _ = bench.deliver(1)
    bench.tell(.status(NodeStatus(node: .north, task: .digits, state: .short, round: 1, attempt: 1, phase: .train, devices: 1, have: 1)))
    bench.tell(.tick, at: 10)
    #expect(bench.task?.stage == .recruiting && bench.task?.attempt == 1)
    bench.tell(.status(NodeStatus(node: .north, task: .digits, state: .ready, devices: 4)), at: 20)
    #expect(bench.invitation?.attempt == 2 && bench.invitation?.quota == 3, "one is there, two are missing")
    #expect(bench.task?.train?.needed == 3)
    // A scout with one delivered device and two at work: the round waits for both.
    bench.tell(
      .status(NodeStatus(node: .north, task: .digits, state: .filled, round: 1, attempt: 2, phase: .train, devices: 4, have: 3, quota: 3)))
    bench.tell(.tick, at: 40)
    #expect(bench.task?.stage == .training && bench.why.hasPrefix("round 1, attempt 2 waits for 2 of 3 updates"), "\(bench.why)")
  }

  @Test("too few updates after the filters: others are asked, and what was accepted stays")
  func fellShort() throws {
    var bench = short(ready: 4)
    #expect(bench.task?.stage == .training && bench.task?.attempt == 2)
    #expect(bench.invitation?.quota == 3 && bench.task?.train?.needed == 2, "two delivered, one more is needed")
    #expect(bench.deliver(1) == .same && bench.deliver(1, bytes: "b") == .conflict, "what was refused was accepted all the same")
    #expect(bench.deliver(3) == .stored)
    #expect(bench.effects.contains(.aggregate(.digits, round: 1)))
    #expect(bench.task?.frozenUpdates?.contributions.count == 3, "the strategy looks at all of them again")
    bench.tell(.aggregated(.digits, round: 1, CentralBench.model, refused: refusal(1)))
    bench.tell(.evaluated(.digits, round: 1, metrics: [:]))
    let record = try #require(bench.rounds.first)
    #expect(record.attempts == 2 && record.updates.map(\.fate) == [.refused, .counted, .counted])
    #expect(record.updates.first?.reason == "a number in fc1.weight is NaN")
    #expect(bench.why == "completed: the one round is done")
  }

  @Test("what the records say of it is what was there")
  func restored() {
    let original = short(ready: 4)
    let bench = CentralBench(restoring: original)
    #expect(bench.task?.train?.refused == ["north/pi-1"] && bench.task?.train?.isClosed == false)
    #expect(bench.task?.train?.acceptedDevices == 1 && bench.task?.attempt == 2 && bench.task?.train?.needed == 2)
    #expect(bench.machine.referencedBlobs == original.machine.referencedBlobs)
  }

  @Test("it says what it waits for; when nobody else shows himself in a round's time, the task fails and names who was refused")
  func nobodyElse() throws {
    var bench = short(ready: 2)
    #expect(bench.task?.stage == .recruiting)
    #expect(
      bench.why.hasPrefix("round 1 waits for devices: 0 ready, 1 needed (attempt 2; last problem: round 1, attempt 1, could not be"),
      "\(bench.why)")
    #expect(bench.machine.nextDeadline == Instant.zero.advanced(bySeconds: 60))
    // Without a connection no other device could become ready.
    bench.tell(.disconnected, at: 50)
    bench.tell(.tick, at: 70)
    #expect(bench.task?.isEnded == false)
    bench.tell(.connected, at: 80)
    bench.tell(.node(NodeState(node: .north, online: true, session: "2", nodeKind: .region)), at: 81)
    bench.tell(.tick, at: 139)
    #expect(bench.task?.isEnded == false)
    bench.tell(.tick, at: 141)
    #expect(bench.why.hasPrefix("failed: round 1, attempt 1, could not be aggregated: krum needs 2 updates"), "\(bench.why)")
    #expect(bench.why.hasSuffix("no other devices became ready in time"), "\(bench.why)")
    let record = try #require(bench.rounds.first)
    #expect(record.updates.map(\.fate) == [.refused, .abandoned] && record.result == nil)
  }

  @Test("attempts are bounded here, too; and where enough are left, more of the same would not help")
  func noFurther() {
    #expect(short(ready: 4, maxAttempts: 1).why.hasPrefix("failed: round 1 could not be aggregated: krum needs 2 updates"))
    var bench = CentralBench(specification(rounds: 1, size: 2, minimum: 1, devices: false), ready: 4)
    _ = (bench.deliver(1), bench.deliver(2))
    bench.tell(.fellShort(.digits, round: 1, refused: refusal(1), reason: "the rule wants more"))
    #expect(bench.why == "failed: round 1 could not be aggregated: the rule wants more")
  }

  @Test("a pause holds the further attempt back; what comes late or twice changes nothing")
  func paused() {
    var bench = CentralBench(specification(rounds: 1, size: 2, minimum: 2, devices: false), ready: 4)
    #expect(bench.tell(.fellShort(.digits, round: 1, refused: refusal(1), reason: "x")).isEmpty)
    _ = (bench.deliver(1), bench.deliver(2))
    bench.tell(.pause(.digits))
    #expect(bench.tell(.fellShort(.digits, round: 2, refused: refusal(1), reason: "x")).isEmpty)
    #expect(bench.tell(.fellShort(.digits, round: 1, refused: refusal(1), reason: "x")).map(\.kind) == ["reopened"])
    #expect(bench.tell(.fellShort(.digits, round: 1, refused: refusal(1), reason: "x")).isEmpty)
    #expect(bench.tell(.resume(.digits)).map(\.kind) == ["revised", "opened"])
  }
}
