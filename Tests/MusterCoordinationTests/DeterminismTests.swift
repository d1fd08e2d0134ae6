import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

@Suite("Determinism")
struct DeterminismTests {
  @Test("a seeded order depends on the seed and not on the order of arrival")
  func shuffled() {
    let nodes = (1...40).map { NodeID.pi($0) }
    #expect(Seeds.shuffled(nodes, seed: 7) == Seeds.shuffled(nodes.reversed(), seed: 7))
    #expect(Seeds.shuffled(nodes, seed: 7) != Seeds.shuffled(nodes, seed: 8))
    #expect(Seeds.shuffled(nodes, seed: 7).prefix(3).map(\.rawValue) == goldenOrder)
  }

  @Test("fractions spread over the whole of 0..<1, seeds stay below 2^53")
  func fractions() {
    let fractions = (0..<1000).map { Seeds.fraction(1, "pi-\($0)") }
    #expect(fractions.allSatisfy { (0..<1).contains($0) })
    #expect(abs(fractions.reduce(0, +) / 1000 - 0.5) < 0.05)
    #expect(fractions.max().map { $0 > 0.98 } == true && fractions.min().map { $0 < 0.02 } == true)
    #expect((0..<1000).allSatisfy { Seeds.derive(UInt64($0), "x") < 1 << 53 })
  }

  @Test(
    "a total is split by largest remainder",
    arguments: [
      (10, [5, 5], [5, 5]), (4, [3, 3], [2, 2]), (5, [3, 3], [3, 2]), (7, [1, 2, 4], [1, 2, 4]), (3, [10, 1], [3, 0]),
      (9, [2, 2], [2, 2]),
      (0, [1, 1], [0, 0]), (3, [0, 0], [0, 0]), (1, [0, 5], [0, 1]), (6, [4, 1, 1], [4, 1, 1]),
      (5, [1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]),
    ])
  func splitting(total: Int, weights: [Int], parts: [Int]) { #expect(split(total, over: weights) == parts) }

  @Test("the same task under two ids has the same seeds, cohort and invitations; another local.seed has others")
  func seeds() throws {
    func seeds(_ id: String, _ seed: UInt64) throws -> [UInt64] {
      var task = specification(rounds: 2, size: 1, minimum: 1, devices: true)
      task.local.seed = seed
      let id = TaskID(unchecked: id)
      var bench = CentralBench(nil)
      bench.tell(.accept(id, task))
      bench.tell(.initialized(id, CentralBench.model))
      bench.tell(.node(NodeState(node: .north, online: true, session: "1", nodeKind: .region)))
      bench.tell(.status(NodeStatus(node: .north, task: id, state: .ready, devices: 1, declined: 0)))
      let train = try #require(bench.invitation)
      let contribution = ContributionRecord(path: NodePath(.north, .pi(1)), digest: Digest(of: "u"), weight: 1, bytes: 1, metrics: [:])
      bench.tell(.contribution(id, round: 1, phase: .train, contribution, reply: Coordinator.Reply(1)))
      bench.tell(.aggregated(id, round: 1, ModelReference(digest: Digest(of: "m1"), bytes: 10), refused: []))
      let evaluate = try #require(bench.invitation)
      #expect(train.key.phase == .train && evaluate.key.phase == .evaluate)
      return [train.seed, evaluate.seed]
    }
    let first = try seeds("digits-7kq2xm", 1)
    #expect(first == (try seeds("another", 1)) && Set(first).count == 2)
    #expect(first != (try seeds("digits-7kq2xm", 2)))
    let (one, two) = (NodePath(.north, .pi(1)), NodePath(.north, .pi(2)))
    #expect(Seeds.device(first[0], one) != Seeds.device(first[0], two) && Seeds.device(first[0], one) < 1 << 53)
  }
}

/// Computed independently, in Python.
private let goldenOrder = ["pi-37", "pi-3", "pi-4"]
