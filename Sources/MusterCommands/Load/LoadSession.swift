import Glibc
import MusterLoad
import MusterSchema

/// The steps of a load: start the servers, connect the devices, push the task, and follow it to its end.
struct LoadSession: Sendable {
  var plan: DemoPlan
  var settings: LoadSettings

  private static let task = TaskID(unchecked: "load")

  func run(_ fleet: ProgramFleet) async throws -> LoadReport {
    let progress = ProgressLine()
    let servers = ServerStart(plan: plan)
    progress.show("starting a broker, central and \(Words.count(plan.regions.count, "region"))")
    try await servers.run(fleet, progress)
    let regions = plan.regions.map(\.id)
    let configuration = LoadConfiguration(
      host: "127.0.0.1", port: plan.broker, devices: settings.paths(regions), task: Self.task, transfers: settings.transfers,
      spreads: settings.spreads)
    let account = ServerAccount(["broker", "central"] + regions.map(\.rawValue), fleet)
    let client = try OpsClient(central: plan.central)
    let (course, measures) = try await LoadFleet.with(configuration) { load in
      try await withThrowingTaskGroup(of: LoadCourse?.self) { group in
        group.addTask { try await follow(load, servers, client, account, progress) }
        group.addTask {
          await showProgress(of: load, progress)
          return nil
        }
        defer { group.cancelAll() }
        while let next = try await group.next() {
          if let course = next { return course }
        }
        throw CommandError(.interrupted, "interrupted")
      }
    }
    let detail = try await client.wholeTask(Self.task)
    progress.end(detail.now.why)
    return try LoadReport(
      settings, regions: regions.count, course, measures, records: detail.rounds, regionRecords: await regionRecords(),
      names: account.names)
  }

  /// Follows the load from the first connection to the end of the task.
  private func follow(
    _ load: LoadFleet, _ servers: ServerStart, _ client: OpsClient, _ account: ServerAccount, _ progress: ProgressLine
  ) async throws -> LoadCourse {
    var course = LoadCourse(started: .now, atStart: try account.read())
    for await event in load.events {
      switch event {
      case .connected:
        course.connected = .now
        let seconds = (ContinuousClock.now - course.started) / .seconds(1)
        progress.end("\(Words.count(settings.devices, "device")) connected after \(Words.seconds(seconds))")
        try await servers.wait("the devices", within: .seconds(120), every: .milliseconds(500)) { await knows(client, settings.devices) }
        course.atPush = try account.read()
        course.pushed = .now
        _ = try await client.push(Self.task, settings.task(plan.regions.map(\.id)))
      case .began(let round, .train):
        course.atRounds.append((round, try account.read()))
        progress.end("round \(round) of \(settings.rounds) has begun")
      case .began(_, .evaluate): break
      case .ended(let outcome, let reason):
        course.atEnd = try account.read()
        course.ended = .now
        (course.outcome, course.reason) = (outcome, reason)
        return course
      case .failed(let error): throw CommandError(.unexpected, "\(error)")
      }
    }
    throw CommandError(.interrupted, "interrupted")
  }

  /// Whether the regions know all devices.
  private func knows(_ client: OpsClient, _ count: Int) async -> Bool {
    do {
      return try await client.nodes().count { $0.state.online } >= count
    } catch {
      return false
    }
  }

  /// The records of the regions, if they aggregate, for the fates of their devices' contributions. Devices are renamed to their paths.
  private func regionRecords() async throws -> [RoundRecord] {
    guard settings.upload == .region else { return [] }
    var records: [RoundRecord] = []
    for region in plan.regions {
      let task = try await OpsClient(central: "http://127.0.0.1:\(region.ops)").regionTask(Self.task)
      for var record in task.rounds {
        for index in record.missed.indices where !record.missed[index].node.contains("/") {
          record.missed[index].node = "\(region.id)/\(record.missed[index].node)"
        }
        records.append(record)
      }
    }
    return records
  }

  private func showProgress(of load: LoadFleet, _ line: ProgressLine) async {
    while !Task.isCancelled {
      let now = load.progress
      if now.round > 0 {
        line.show("round \(now.round) of \(settings.rounds): \(now.invited) invited, \(now.delivered) contributions")
      } else if now.described > 0 {
        line.show("\(now.described) of \(settings.devices) devices know the task")
      } else {
        line.show("\(now.connected) of \(settings.devices) devices connected")
      }
      do { try await Task.sleep(for: .milliseconds(250)) } catch { return }
    }
  }
}

/// The times of a load's milestones, and the processes' readings at each.
struct LoadCourse: Sendable {
  var started: ContinuousClock.Instant
  var atStart: [ProcessReading]
  var connected: ContinuousClock.Instant?
  var pushed: ContinuousClock.Instant?
  var atPush: [ProcessReading] = []
  /// The readings at the first invitation of each round.
  var atRounds: [(round: Int, readings: [ProcessReading])] = []
  var atEnd: [ProcessReading] = []
  var ended: ContinuousClock.Instant?
  var outcome = RoundState.Step.failed
  var reason = ""

  init(started: ContinuousClock.Instant, atStart: [ProcessReading]) {
    self.started = started
    self.atStart = atStart
  }
}

/// The processes whose cost is measured: the servers and this process.
struct ServerAccount: Sendable {
  let names: [String]
  private let pids: [Int32]

  init(_ servers: [String], _ fleet: ProgramFleet) {
    let pids = fleet.pids
    names = servers + ["generator"]
    self.pids = servers.map { pids[$0] ?? 0 } + [getpid()]
  }

  /// The current readings, in the order of the names.
  func read() throws(CommandError) -> [ProcessReading] {
    var readings: [ProcessReading] = []
    for (name, pid) in zip(names, pids) {
      do {
        readings.append(try ProcessReading(of: pid))
      } catch {
        throw CommandError(.unexpected, "the processor time and memory of \(name) cannot be read: \(error)")
      }
    }
    return readings
  }
}
