import FoundationEssentials
import Glibc
import MusterSchema
import MusterTransfer
import Synchronization
import TestSupport

/// Kills programs according to a plan and starts them again, while tasks of both upload targets follow each other.
final class RandomKills: Sendable {
  let fleet: Fleet
  let recorder: ContributionRecorder
  let plan: KillPlan
  private let proxies: [String: CuttingProxy]
  private let tell: @Sendable (String) -> Void
  private let state = Mutex(State())

  private struct State {
    var isOver = false
    var tasks: [KillTask] = []
    var table: [String: Int] = [:]
    var problems: [String] = []
    /// The programs that are down, with the time at which each is started again.
    var down: [String: (until: ContinuousClock.Instant, memory: KillPlan.Memory?)] = [:]
  }

  init(_ fleet: Fleet, _ plan: KillPlan, telling tell: @escaping @Sendable (String) -> Void) throws {
    self.fleet = fleet
    self.plan = plan
    self.tell = tell
    recorder = try ContributionRecorder(folder: fleet.folder.file("uploads"))
    var proxies = ["central": try recorder.proxy("central", port: fleet.places.central.data)]
    for (region, listener) in fleet.places.regions { proxies[region] = try recorder.proxy(region, port: listener.data) }
    self.proxies = proxies
  }

  /// The pushed tasks, in order.
  var tasks: [KillTask] { state.withLock(\.tasks) }
  /// Unexpected events of the programs themselves.
  var problems: [String] { state.withLock(\.problems) + recorder.failures }
  /// Number of kills by kind of program and moment.
  var table: [(what: String, times: Int)] { state.withLock(\.table).sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }

  /// Returns when all kills are done and all tasks have ended.
  func run(patience: Duration) async throws {
    try await fleet.broker.start()
    for name in fleet.names { try start(name) }
    try await fleet.waitForDevices(fleet.plan.devices)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for upload in [UploadTarget.central, .region] {
        group.addTask { try await self.keepTasksGoing(upload, patience: patience) }
      }
      group.addTask { try await self.carryOut() }
      try await group.waitForAll()
    }
    for name in fleet.names {
      if let status = try fleet.process(name).exitStatus { note("\(name) has ended by itself with status \(status)") }
    }
  }

  // MARK: - Programs

  private func start(_ program: String) throws {
    // Other programs get the recorder's address.
    try fleet.start(program, proxies[program].map { ["--data-advertise", $0.address] } ?? [])
  }

  private func note(_ problem: String) {
    tell("PROBLEM \(problem)")
    state.withLock { $0.problems.append(problem) }
  }

  private func carryOut() async throws {
    let started = ContinuousClock.now
    for (index, kill) in plan.kills.enumerated() {
      try await pass(.milliseconds(kill.pauseMilliseconds)) { false }
      if state.withLock({ $0.down[kill.victim] }) != nil { try await bringBack(kill.victim) }
      let moment = try await strike(kill)
      state.withLock { state in
        state.down[kill.victim] = (.now + .milliseconds(kill.downMilliseconds), kill.memory)
        state.table["\(kind(kill.victim)) \(moment.rawValue)", default: 0] += 1
      }
      let number = String(repeating: " ", count: index < 9 ? 1 : 0) + "\(index + 1)"
      let memory = kill.memory.map { ", starts with \($0.rawValue)" } ?? ""
      tell(
        "kill \(number) of \(plan.kills.count)  \((ContinuousClock.now - started).tenths) s  \(kill.victim) \(moment.rawValue), "
          + "down \(kill.downMilliseconds) ms\(memory)")
    }
    try await pass(.seconds(10)) { self.state.withLock(\.down.isEmpty) }
    tell("all kills are done after \((ContinuousClock.now - started).tenths) s: what runs goes on to its end")
    state.withLock { $0.isOver = true }
  }

  /// Waits, and starts programs again whose time is over.
  private func pass(_ time: Duration, until condition: () -> Bool) async throws {
    _ = try await eventually(within: time) {
      if condition() { return true }
      let due = state.withLock { state in state.down.filter { $0.value.until <= .now }.keys.sorted() }
      for name in due { try await bringBack(name) }
      return false
    }
  }

  private func kind(_ victim: String) -> String {
    victim == KillPlan.broker ? victim : fleet.plan.regions.contains(victim) ? "region" : victim == "central" ? victim : "agent"
  }

  /// Sends the signal at the planned moment, or after three seconds if the moment does not come.
  private func strike(_ kill: KillPlan.Kill) async throws -> KillPlan.Moment {
    let (victim, delay) = (kill.victim, kill.delayMicroseconds)
    let child = victim == KillPlan.broker ? nil : try fleet.process(victim)
    if let status = child?.exitStatus ?? (child == nil ? fleet.broker.exitStatus : nil) {
      note("\(victim) has ended by itself with status \(status)")
    }
    let strike: @Sendable () -> Void = { [fleet] in if let child { child.signal(SIGKILL) } else { fleet.broker.signal(SIGKILL) } }
    var moment = kill.moment
    if moment != .anyTime {
      let isDone = Mutex(false)
      recorder.watch(
        moment, of: { key in concerns(key, victim) },
        act: {
          usleep(delay)
          strike()
          isDone.withLock { $0 = true }
        })
      try await pass(.seconds(3)) { isDone.withLock(\.self) }
      // If the watch has already been triggered, it still sends the signal.
      if recorder.unwatch() { moment = .anyTime } else { _ = try await eventually { isDone.withLock(\.self) } }
    }
    if moment == .anyTime { strike() }
    if let child { try await child.wait() } else { try await fleet.broker.kill() }
    return moment
  }

  private func bringBack(_ program: String) async throws {
    guard let (_, memory) = state.withLock({ $0.down.removeValue(forKey: program) }) else { return }
    guard program == KillPlan.broker else { return try start(program) }
    let (configuration, database) = (fleet.broker.folder.file("mosquitto.conf"), fleet.broker.folder.file("mosquitto.db"))
    let lines = try String(contentsOfFile: configuration, encoding: .utf8).split(separator: "\n")
    let text = lines.map { $0.hasPrefix("persistence ") ? "persistence \(memory != .off)" : $0 }.joined(separator: "\n") + "\n"
    try Data(text.utf8).write(to: URL(filePath: configuration))
    if memory == .zeroed { try Data().write(to: URL(filePath: database)) }
    try await fleet.broker.start()
  }

  // MARK: - Tasks

  /// Pushes tasks one after another until the kills are done, and waits for each.
  private func keepTasksGoing(_ upload: UploadTarget, patience: Duration) async throws {
    var count = 0
    while !state.withLock(\.isOver) {
      count += 1
      let task = KillTask(upload, count, try fleet.task(rounds: 3, cohort: 3, minimum: 2, epochs: 1, seconds: 15))
      state.withLock { $0.tasks.append(task) }
      // Central may be down, or die before it answers. The push is then repeated.
      let isPushed = try await eventually(within: .seconds(20), every: .milliseconds(50)) {
        do {
          let answer = try await fleet.push(task.id, task.specification)
          guard [200, 201, 503].contains(answer.status) else { throw TestSupportError("\(task.id) is refused: \(answer)") }
          return answer.status != 503
        } catch is TransferError {
          return false
        }
      }
      guard isPushed else { throw TestSupportError("\(task.id) could not be pushed") }
      let detail = try await fleet.wait(for: task.id, "ended", within: patience) { $0.summary.step.isFinal }
      tell("\(task.id) \(detail.summary.step.rawValue): attempts \(detail.rounds.map(\.attempts)), \(detail.summary.why)")
    }
  }
}

/// Whether an upload involves a program.
private func concerns(_ key: ContributionKey, _ victim: String) -> Bool {
  victim == KillPlan.broker || key.ledger == victim || key.path == victim || key.path.hasSuffix("/\(victim)")
}

extension Duration {
  var tenths: Double {
    let (seconds, attoseconds) = components
    return (Double(seconds) * 10 + Double(attoseconds) / 1e17).rounded() / 10
  }
}
