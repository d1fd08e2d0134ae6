import MusterSchema
import Testing

@testable import MusterCoordination

@Suite("What a task's models are compared by")
struct MetricTests {
  /// A task after the given evaluations, which central or its one device reports.
  private func run(
    stop: StopSpecification? = nil, rounds: Int, keep: Int = 1, devices: Bool, _ evaluations: [[String: Double]]
  ) -> CentralBench {
    var task = specification(rounds: rounds, size: 1, minimum: 1, devices: devices)
    task.stop = stop
    task.keep.checkpoints = keep
    var bench = CentralBench(task, ready: 1)
    for (index, metrics) in evaluations.enumerated() {
      let round = index + 1
      _ = bench.deliver(1, round: round, bytes: "u\(round)")
      bench.tell(.aggregated(.digits, round: round, ModelReference(digest: Digest(of: "m\(round)"), bytes: 10), refused: []))
      bench.tell(.evaluated(.digits, round: round, metrics: devices ? [:] : metrics))
      if devices {
        let contribution = ContributionRecord(
          path: NodePath(.north, .pi(1)), digest: Digest(of: "e\(round)"), weight: 1, bytes: 1, metrics: metrics)
        bench.tell(.contribution(.digits, round: round, phase: .evaluate, contribution, reply: Coordinator.Reply(1)))
      }
    }
    return bench
  }

  @Test("with only the devices evaluating, retention keeps the model that the command line calls the best", arguments: [true, false])
  func retention(devices: Bool) throws {
    let accuracies = [0.5, 0.9, 0.4, 0.4, 0.3].map { ["accuracy": $0] }
    let bench = run(rounds: 9, devices: devices, accuracies)
    let task = try #require(bench.task)
    #expect(bench.rounds.count == 5 && task.progress.rounds == 5)
    #expect(task.models.map(\.round) == [0, 2, 5])
    #expect(TaskMetric.best(of: task.models, stop: nil)?.round == 2)
    #expect(task.metric == TaskMetric(stop: nil, in: accuracies))
  }

  @Test("a metric that is better when lower stops at the best model, not at the worst", arguments: [true, false])
  func lower(devices: Bool) throws {
    let falling = [500, 333, 250, 200, 166].map { ["perplexity": Double($0)] }
    let reach = run(stop: StopSpecification(metric: "perplexity", at: 200), rounds: 9, devices: devices, falling)
    #expect(reach.rounds.count == 4)
    #expect(reach.why == "completed: perplexity reached 200 in round 4")
    let patience = run(stop: StopSpecification(metric: "perplexity", patience: 2), rounds: 5, devices: devices, falling)
    #expect(patience.why == "completed: all 5 rounds are done")
    let score = run(stop: StopSpecification(metric: "loss_reduction", mode: .max, patience: 2), rounds: 5, devices: devices, falling)
    #expect(score.why.contains("no evaluation reports the stop metric loss_reduction"))
  }

  @Test("a stop metric that nobody reports is said from the first evaluation on, and at the end", arguments: [true, false])
  func unreported(devices: Bool) throws {
    let stop = StopSpecification(metric: "f1", at: 0.9)
    var bench = run(stop: stop, rounds: 2, devices: devices, [])
    #expect(!bench.why.contains("f1"))
    bench = run(stop: stop, rounds: 2, devices: devices, [["loss": 1, "accuracy": 0.5]])
    #expect(bench.why.contains("; no evaluation reports the stop metric f1, only accuracy, loss"), "\(bench.why)")
    bench = run(stop: stop, rounds: 2, devices: devices, [["loss": 1], ["loss": 0.5]])
    #expect(bench.why == "completed: all 2 rounds are done; no evaluation reports the stop metric f1, only loss")
    bench = run(stop: stop, rounds: 2, devices: devices, [["loss": 1], ["loss": 0.5, "f1": 0.2]])
    #expect(bench.why == "completed: all 2 rounds are done")
  }

  @Test("a summary says the devices' metrics when central has none, and a message on a topic never more than eight")
  func summaries() throws {
    var many = Dictionary(uniqueKeysWithValues: (0..<60).map { ("metric-\($0)", Double($0)) })
    many["r2"] = 0.5
    let bench = run(rounds: 9, devices: true, [many])
    let summary = try #require(bench.machine.summary(.digits))
    #expect(summary.metrics == many && summary.metric == "r2")
    let window = try #require(bench.machine.roundState(.digits))
    #expect(window.metrics?.count == 8 && window.metrics?["r2"] == 0.5)
    #expect(try MessageCoder.encode(window).count < 4096)
  }
}
