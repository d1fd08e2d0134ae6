import MusterSchema
import Testing

@testable import MusterCoordination
@testable import MusterParticipation

/// Numbers that are valid on their own, but not when they are added up.
@Suite("Numbers at the end of their range")
struct ExtremeNumberTests {
  private func evaluation(_ number: Int, _ loss: Double, weight: Double = 1) -> ContributionRecord {
    ContributionRecord(
      path: NodePath(.north, .pi(number)), digest: Digest(of: "\(number)"), weight: weight, bytes: 1, metrics: ["loss": loss])
  }

  @Test("a mean of metrics is finite whatever its values and weights are, and lies between them")
  func means() throws {
    let largest = Double.greatestFiniteMagnitude
    let cases: [([ContributionRecord], ClosedRange<Double>)] = [
      ([evaluation(1, 1e308, weight: 1e15), evaluation(2, 1e308, weight: 1e15)], 1e308...1e308),
      ([evaluation(1, largest), evaluation(2, largest), evaluation(3, largest)], largest...largest),
      ([evaluation(1, -largest), evaluation(2, largest)], -largest...largest),
      ([evaluation(1, 1, weight: largest), evaluation(2, 3, weight: largest)], 2...2),
      ([evaluation(1, 1, weight: 1), evaluation(2, 3, weight: 3)], 2.5...2.5),
      ([evaluation(1, 0.5, weight: .leastNonzeroMagnitude), evaluation(2, 0.5, weight: .leastNonzeroMagnitude)], 0.5...0.5),
      ([evaluation(1, 0.25), evaluation(2, 7, weight: .infinity), evaluation(3, 7, weight: 0), evaluation(4, .nan)], 0.25...0.25),
    ]
    for (evaluations, expected) in cases {
      let mean = try #require(Coordinator.weighted(evaluations)?["loss"])
      #expect(expected.contains(mean), "\(evaluations.map(\.metrics)): \(mean)")
    }
    #expect(Coordinator.weighted([evaluation(1, .nan)]) == nil)
  }

  @Test("a contribution with numbers that cannot be added up is refused, its device is named, and the others count")
  func refusal() throws {
    var bench = CentralBench(specification(size: 2, minimum: 1, devices: true))
    _ = (bench.deliver(1), bench.deliver(2))
    bench.tell(.aggregated(.digits, round: 1, CentralBench.model, refused: []))
    bench.tell(.evaluated(.digits, round: 1, metrics: ["accuracy": .infinity, "loss": 1]))
    #expect(bench.task?.latestMetrics == ["loss": 1])
    func evaluate(_ evaluation: ContributionRecord) -> Coordinator.Answer? {
      bench.tell(.contribution(.digits, round: 1, phase: .evaluate, evaluation, reply: Coordinator.Reply(7)))
      return bench.effects.compactMap { if case .answer(_, let answer) = $0 { answer } else { nil } }.first
    }
    for wrong in [evaluation(1, 1e308), evaluation(1, 1, weight: .infinity), evaluation(1, 1, weight: -1), evaluation(1, .nan)] {
      guard case .refused(let why) = evaluate(wrong) else {
        Issue.record("\(wrong) is accepted")
        continue
      }
      #expect(bench.machine.explanation(.digits)?.troubles.contains { $0.node == "north/pi-1" && $0.reason.contains(why) } == true)
    }
    #expect(evaluate(evaluation(2, 3)) == .stored)
    bench.tell(.tick, at: 100)
    let record = try #require(bench.rounds.first)
    #expect(record.deviceMetrics == ["loss": 3])
    _ = try JSON.encode(Coordinator.Record.completed(.digits, record))
  }

  @Test("a contribution stands for as many devices as the round can have, no fewer than one, no more", arguments: [-1, 0, 7, Int.max])
  func counts(count: Int) {
    var bench = CentralBench(specification(size: 2, minimum: 1, devices: false, upload: .region))
    let update = ContributionRecord(
      path: NodePath(.north), digest: Digest(of: "a"), weight: 1, bytes: 1, count: count, metrics: [:])
    bench.tell(.contribution(.digits, round: 1, phase: .train, update, reply: Coordinator.Reply(7)))
    #expect(bench.effects.contains { if case .answer(_, .refused) = $0 { true } else { false } })
    #expect(bench.task?.train?.accepted.isEmpty == true)
  }

  @Test("progress and deadlines that are no numbers do not end the coordinator")
  func notANumber() {
    var bench = CentralBench()
    for progress in [Double.nan, .infinity, -1e308, 1e308] {
      bench.tell(
        .status(NodeStatus(node: .north, task: .digits, state: .training, round: 1, attempt: 1, phase: .train, progress: progress)))
      #expect(bench.machine.roundState(.digits) != nil)
    }
    #expect(Instant.zero.advanced(bySeconds: .nan) == .zero)
  }
}
