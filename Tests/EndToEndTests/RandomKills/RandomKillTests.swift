import FoundationEssentials
import Glibc
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

/// Settings of ``EndToEnd/RandomKillTests``, which `scripts/chaos` passes in the environment.
private enum KillSettings {
  private static func number(_ name: String) -> UInt64? { ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) } }

  static let kills = Int(clamping: number("MUSTER_CHAOS_KILLS") ?? 8)
  static let seed = number("MUSTER_CHAOS_SEED") ?? 1
  /// Whether progress is printed line by line.
  static let isWatched = number("MUSTER_CHAOS_KILLS") != nil
  static let devices = 6

  static func tell(_ line: String) {
    guard isWatched else { return }
    print(line)
    fflush(nil)
  }
}

extension EndToEnd {
  /// Promises 1 to 3 of docs/reliability.md, with real processes: kill -9 of central, regions, agents and the broker.
  @Suite struct RandomKillTests {
    @Test(
      "Programs and broker are killed at random: every task completes, and what was answered 201 is in the record once, bit for bit",
      .timeLimit(.minutes(3 + KillSettings.kills / 5)))
    func randomKills() async throws {
      var fleetPlan = FleetPlan()
      fleetPlan.devices = KillSettings.devices
      fleetPlan.broker.persistence = true
      fleetPlan.broker.lines = ["autosave_interval 1"]
      let plan = KillPlan(
        seed: KillSettings.seed, kills: KillSettings.kills, regions: fleetPlan.regions, devices: fleetPlan.deviceList.map(\.id))
      let again = "scripts/chaos --kills \(KillSettings.kills) --seed \(plan.seed)"
      try await withFleet(fleetPlan, starting: false) { fleet in
        do {
          let run = try RandomKills(fleet, plan, telling: KillSettings.tell)
          let begun = ContinuousClock.now
          try await run.run(patience: .seconds(150))
          let records = try await records(of: run.tasks, fleet, run.recorder)
          var problems = run.problems + KillAudit.problems(run.recorder.uploads, run.recorder.answers, records)
          let replay = OfflineReplay(fleet: fleet, recorder: run.recorder)
          for record in records { problems += try await replay.problems(record) }
          show(run, records, problems, after: .now - begun)
          #expect(problems.isEmpty, "again: \(again)\n\(problems.joined(separator: "\n"))")
        } catch {
          print("FAILED, again: \(again)")
          throw error
        }
      }
    }

    /// The records of central and the regions. A region learns of a task's end a little later than the test.
    private func records(of tasks: [KillTask], _ fleet: Fleet, _ recorder: ContributionRecorder) async throws -> [KillRecords] {
      var records: [KillRecords] = []
      for task in tasks {
        let central = try await fleet.detail(task.id)
        var regions: [String: RegionTask] = [:]
        for region in fleet.plan.regions where task.specification.upload == .region {
          let isOver = try await eventually(every: .milliseconds(50)) {
            do {
              let known: RegionTask = try await fleet.http.get(from: "\(fleet.ops(of: region))/v1/tasks/\(task.id)")
              regions[region] = known
              return known.descriptor.state.isFinal
            } catch let error as TransferError {
              // A region that was never invited may have received the task only after its end, or never.
              return error.status == 404 && !recorder.answers.contains { $0.upload.key.ledger == region && $0.upload.key.task == task.id }
            }
          }
          guard isOver else { throw TestSupportError("\(region) does not know that \(task.id) has ended") }
        }
        records.append(KillRecords(task: task, central: central, regions: regions))
      }
      return records
    }

    private func show(_ run: RandomKills, _ records: [KillRecords], _ problems: [String], after time: Duration) {
      let (rows, answers) = (records.flatMap(\.rows), run.recorder.answers)
      KillSettings.tell("")
      for line in run.table { KillSettings.tell("\(line.times)\t\(line.what)") }
      let fates = Dictionary(grouping: rows, by: \.contribution.fate).map { "\($0.value.count) \($0.key.rawValue)" }.sorted()
      let rounds = records.flatMap(\.central.rounds)
      KillSettings.tell(
        """

        \(records.count) tasks, \(records.count { $0.central.summary.step == .completed }) completed; \(rounds.count) rounds, \
        \(rounds.count { $0.attempts > 1 }) of them in more than one attempt
        \(run.recorder.uploads.count) uploads passed whole; answers: \(statuses(answers))
        \(rows.count) contributions in the records: \(fates.joined(separator: ", "))
        seed \(run.plan.seed), \(run.plan.kills.count) kills, \(time.tenths) s: \
        \(problems.isEmpty ? "nothing is lost" : "\(problems.count) PROBLEMS")
        """)
    }

    private func statuses(_ answers: [ContributionRecorder.Answered]) -> String {
      Dictionary(grouping: answers, by: \.status).sorted { $0.key < $1.key }.map { "\($0.value.count) × \($0.key)" }.joined(separator: ", ")
    }
  }
}
