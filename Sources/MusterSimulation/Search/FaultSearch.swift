internal import MusterCoordination
internal import MusterSchema

/// The result of one seed's history.
package struct FaultReport: Sendable {
  package var seed: UInt64
  package var violation: Violation?
  /// Digest of everything that happened.
  package var digest: UInt64
  package var steps: Int
  /// In virtual time.
  package var seconds: Double
  package var completed: Int
  package var failed: Int
  package var cancelled: Int
  package var lines: [String]
}

/// Runs worlds full of faults, one per seed, and looks for violations of the protocol's promises.
package enum FaultSearch {
  /// Virtual seconds after the last fault within which every task must end.
  package static let bound = 600.0

  /// Runs the history of one seed, which is the same in every process.
  ///
  /// - Parameter inspect: called with the world once everything in it is over.
  package static func run(
    seed: UInt64, bugs: Set<PlantedBug> = [], keepsTrace: Bool = false, inspect: (World) -> Void = { _ in }
  ) -> FaultReport {
    let scenario = Scenario(seed: seed, bugs: bugs)
    let world = World(scenario.plan, seed: seed)
    world.keepsTrace = keepsTrace
    defer { world.end() }
    Chaos(scenario: scenario).begin(world)
    world.run(seconds: Double(scenario.faulty) / 1000)
    let hasEnded = world.run(seconds: bound) { $0.pushed(scenario) && $0.unfinished.isEmpty }
    if !hasEnded, world.violation == nil {
      world.auditor.fails(
        "\(Int(bound)) s after the last fault these tasks have not ended: \(world.unfinished.map { "\($0): \(world.why($0))" })")
    }
    converge(world)
    inspect(world)
    let steps = scenario.pushes.compactMap { world.central.machine.roundState($0.task)?.step }
    return FaultReport(
      seed: seed, violation: world.violation, digest: world.trace.digest, steps: world.steps, seconds: Double(world.time) / 1000,
      completed: steps.count { $0 == .completed }, failed: steps.count { $0 == .failed }, cancelled: steps.count { $0 == .cancelled },
      lines: world.trace.lines)
  }

  /// Checks that all processes and topics agree within two more minutes.
  private static func converge(_ world: World) {
    guard world.violation == nil else { return }
    var left: [String] = []
    for _ in 0..<12 {
      world.run(seconds: 10)
      guard world.violation == nil else { return }
      left = world.disagreements()
      if left.isEmpty { return }
    }
    world.auditor.fails("all tasks have ended, but: \(left.prefix(5).joined(separator: "; "))")
  }
}

extension World {
  func pushed(_ scenario: Scenario) -> Bool { scenario.pushes.allSatisfy { central.machine.tasks[$0.task] != nil } }
}
