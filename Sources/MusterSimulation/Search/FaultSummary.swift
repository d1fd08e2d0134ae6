/// The results of a range of seeds.
package struct FaultSummary: Sendable, CustomStringConvertible {
  package var seeds = 0
  package var steps = 0
  package var virtualSeconds = 0.0
  package var completed = 0
  package var failed = 0
  package var cancelled = 0
  /// Sorted by seed.
  package var violations: [(seed: UInt64, violation: Violation)] = []
  /// The digest of each history, by seed.
  package var histories: [UInt64: UInt64] = [:]

  package init() {}

  package mutating func add(_ report: FaultReport) {
    seeds += 1
    steps += report.steps
    virtualSeconds += report.seconds
    completed += report.completed
    failed += report.failed
    cancelled += report.cancelled
    histories[report.seed] = report.digest
    if let violation = report.violation {
      let index = violations.firstIndex { $0.seed > report.seed } ?? violations.count
      violations.insert((report.seed, violation), at: index)
    }
  }

  package mutating func add(_ other: FaultSummary) {
    seeds += other.seeds
    steps += other.steps
    virtualSeconds += other.virtualSeconds
    completed += other.completed
    failed += other.failed
    cancelled += other.cancelled
    histories.merge(other.histories) { $1 }
    violations = (violations + other.violations).sorted { $0.seed < $1.seed }
  }

  /// Combined digest of all histories, independent of their order.
  package var digest: UInt64 { histories.reduce(0) { $0 &+ Generator.mix($1.value ^ $1.key) } }

  package var description: String {
    let found = violations.prefix(20).map { seed, violation in
      "seed \(seed), \(violation)\n  to replay it: muster simulate faults --seed \(seed) --trace"
    }
    let hours = "\((virtualSeconds / 360).rounded() / 10)"
    let counts =
      "\(seeds) seeds, \(steps) events, \(hours) virtual hours; tasks: \(completed) completed, \(failed) failed, \(cancelled) cancelled"
    let digest = String(digest, radix: 16)
    let word = violations.isEmpty ? "no violation" : "\(violations.count) violation\(violations.count == 1 ? "" : "s")"
    return (found + ["\(counts); digest \(digest)", word]).joined(separator: "\n")
  }
}

extension FaultSearch {
  /// Runs a range of seeds, one after another.
  package static func run(seeds: ClosedRange<UInt64>, bugs: Set<PlantedBug> = []) -> FaultSummary {
    var summary = FaultSummary()
    for seed in seeds { summary.add(run(seed: seed, bugs: bugs)) }
    return summary
  }
}
