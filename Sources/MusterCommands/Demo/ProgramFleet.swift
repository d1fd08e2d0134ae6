import FoundationEssentials
import Glibc
import MusterSchema
import Subprocess
import Synchronization
import SystemPackage

/// The running programs of a fleet on this machine, for the demo or a load. They are started on demand, restarted when they die, and
/// stopped in order.
final class ProgramFleet: Sendable {
  private struct State {
    var running: [Int32: DemoPlan.Program] = [:]
    /// The number of programs of each stage that are looked after, including those that are being started and have no pid yet.
    var kept: [DemoPlan.Stage: Int] = [:]
    var isStopping = false
    /// Whether the demo has finished its work and waits for a signal to end.
    var isStaying = false
    /// Whether all programs are up. From then on a program that dies is restarted; before that, its death makes the demo fail.
    var isUp = false
    var failure: CommandError?
  }

  private let state = Mutex(State())
  private let guardian: Guardian
  private let starts: AsyncStream<DemoPlan.Program>
  private let start: AsyncStream<DemoPlan.Program>.Continuation

  private init(_ guardian: Guardian) {
    self.guardian = guardian
    // Bounded by the plan, because each program is started only once.
    (starts, start) = AsyncStream.makeStream()
  }

  /// Runs `body`. Stops every program that it started when it returns or throws, when a program fails, or when a signal comes.
  static func with<Result: Sendable>(_ body: @escaping @Sendable (ProgramFleet) async throws -> Result) async throws -> Result {
    let guardian = try Guardian()
    let fleet = ProgramFleet(guardian)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await guardian.run() }
      group.addTask { await fleet.serve() }
      let outcome: Swift.Result<Result, any Error>
      do {
        outcome = .success(try await fleet.supervised(body))
      } catch {
        outcome = .failure(error)
      }
      await fleet.stop()
      guardian.close()
      try await group.waitForAll()
      return try outcome.get()
    }
  }

  /// Starts a program, which runs until `with` ends.
  func launch(_ program: DemoPlan.Program) throws(CommandError) {
    for (path, text) in program.files.sorted(by: { $0.key < $1.key }) { try DemoPlaces.write(text, to: path) }
    state.withLock { $0.kept[program.stage, default: 0] += 1 }
    start.yield(program)
  }

  /// The process ids of the running programs, by name.
  var pids: [String: Int32] {
    state.withLock { Dictionary($0.running.map { ($1.name, $0) }) { first, _ in first } }
  }

  /// Marks the fleet as up. From now on, programs that die are restarted.
  func isUp() { state.withLock { $0.isUp = true } }

  /// Keeps everything running until a signal comes. That signal is then not treated as an interruption.
  func stay() async throws {
    state.withLock { $0.isStaying = true }
    while !Interruption.hasCome { try await Task.sleep(for: .milliseconds(50)) }
  }

  private func supervised<Result: Sendable>(_ body: @escaping @Sendable (ProgramFleet) async throws -> Result) async throws -> Result {
    try await withThrowingTaskGroup(of: Result?.self) { group in
      group.addTask { try await body(self) }
      group.addTask {
        while !Task.isCancelled {
          let (isStaying, failure) = self.state.withLock { ($0.isStaying, $0.failure) }
          if !isStaying { try Interruption.check() }
          if let failure { throw failure }
          try await Task.sleep(for: .milliseconds(50))
        }
        return nil
      }
      defer { group.cancelAll() }
      guard let first = try await group.next(), let result = first else { throw CancellationError() }
      return result
    }
  }

  private func serve() async {
    await withDiscardingTaskGroup { group in
      for await program in starts { group.addTask { await self.keepAlive(program) } }
    }
  }

  private func keepAlive(_ program: DemoPlan.Program) async {
    defer { state.withLock { $0.kept[program.stage, default: 0] -= 1 } }
    var restarts = 0
    while !state.withLock({ $0.isStopping }) {
      let end = await run(program)
      let (isStopping, isUp) = state.withLock { ($0.isStopping, $0.isUp) }
      if isStopping { return }
      guard isUp, restarts < 5 else {
        let log = "\(program.log):\n\(DemoPlaces.tail(program.log))"
        let failure = CommandError(.unexpected, "\(program.name) \(end). The last lines of its log, \(log)")
        state.withLock { $0.failure = $0.failure ?? failure }
        return
      }
      restarts += 1
      Console.note("muster: \(program.name) \(end); starting it again")
    }
  }

  /// The environment without the user's own MUSTER_* variables, because they would win over the demo's configuration files.
  private static var environment: Environment {
    let own = ProcessInfo.processInfo.environment.keys.filter { $0.hasPrefix("MUSTER_") }
    return .inherit.updating(Dictionary(uniqueKeysWithValues: own.map { (Environment.Key(stringLiteral: $0), String?.none) }))
  }

  /// Runs a program once.
  ///
  /// - Returns: a description of how it ended.
  private func run(_ program: DemoPlan.Program) async -> String {
    var options = PlatformOptions()
    // The program gets a process group of its own, so that Ctrl-C reaches only the demo, which then stops the others in order.
    options.processGroupID = 0
    options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(3))]
    do {
      let log = try FileDescriptor.open(
        FilePath(program.log), .writeOnly, options: [.create, .append, .closeOnExec],
        permissions: [.ownerReadWrite, .groupRead, .otherRead])
      let result = try await Subprocess.run(
        .path(FilePath(program.executable)), arguments: Arguments(program.arguments), environment: Self.environment,
        platformOptions: options, input: .none, output: .fileDescriptor(log, closeAfterSpawningProcess: true), error: .combinedWithOutput
      ) { execution in
        let pid = execution.processIdentifier.value
        self.guardian.watch(pid)
        let isStopping = self.state.withLock { state in
          state.running[pid] = program
          return state.isStopping
        }
        if isStopping { Glibc.kill(pid, SIGTERM) }
      }
      let pid = result.processIdentifier.value
      state.withLock { _ = $0.running.removeValue(forKey: pid) }
      guardian.forget(pid)
      switch result.terminationStatus {
      case .exited(let code): return "ended with exit code \(code)"
      case .signaled(let number): return "was ended by signal \(number)"
      }
    } catch {
      return "cannot be started: \(error)"
    }
  }

  /// Stops the agents first and the broker last, so that every program can publish that it is offline.
  private func stop() async {
    state.withLock { $0.isStopping = true }
    start.finish()
    for stage in DemoPlan.Stage.allCases.reversed() {
      signal(SIGTERM, stage)
      if await !areGone(stage, within: .seconds(5)) {
        signal(SIGKILL, stage)
        _ = await areGone(stage, within: .seconds(2))
      }
    }
  }

  private func signal(_ number: Int32, _ stage: DemoPlan.Stage) {
    // Hold the lock: a process in the table has not been reaped, so its pid still belongs to it.
    state.withLock { state in
      for (pid, program) in state.running where program.stage == stage { Glibc.kill(pid, number) }
    }
  }

  private func areGone(_ stage: DemoPlan.Stage, within timeout: Duration) async -> Bool {
    let deadline = ContinuousClock.now + timeout
    while ContinuousClock.now < deadline {
      if state.withLock({ $0.kept[stage, default: 0] == 0 }) { return true }
      do {
        try await Task.sleep(for: .milliseconds(10))
      } catch {
        return false
      }
    }
    return false
  }
}
