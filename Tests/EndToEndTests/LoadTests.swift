import Glibc
import MusterSchema
import TestSupport
import Testing

extension EndToEnd {
  /// `muster load`: simulated devices against real servers.
  @Suite struct LoadTests {
    /// The parts of the report that the test reads.
    private struct Report: Decodable {
      struct Percentiles: Decodable {
        var count: Int
        var p50: Double
        var p95: Double
        var p99: Double
        var max: Double
      }
      struct Round: Decodable {
        var round: Int
        var seconds: Double
        var counted: Int
        var invited: Int
        var invitations: Int
        var repeated: Int
        var lost: Int
        var delivery: Percentiles
        var processorMilliseconds: [String: Double]
      }
      struct Refusal: Decodable { var code: String }
      struct Process: Decodable {
        var name: String
        var peakBytes: Int
        var residentBytes: Int
      }
      var outcome: RoundState.Step
      var descriptor: Percentiles
      var rounds: [Round]
      var delivery: Percentiles
      var refusals: [Refusal]
      var lostConnections: Int
      var processes: [Process]
    }

    @Test("Twenty devices in two regions: every contribution counts, and every figure is there", .timeLimit(.minutes(2)))
    func counts() async throws {
      let report = try await run(["--devices", "20", "--regions", "2", "--rounds", "2"])
      try check(report)
      #expect(report.rounds.allSatisfy { Set($0.processorMilliseconds.keys) == ["broker", "central", "north", "south", "generator"] })
    }

    @Test("Regions that aggregate deliver for their devices, who evaluate, too", .timeLimit(.minutes(2)))
    func aggregates() async throws {
      try check(try await run(["--devices", "20", "--regions", "2", "--rounds", "2", "--upload", "region", "--evaluate"]))
    }

    @Test("Ctrl-C ends a load, and all that it started", .timeLimit(.minutes(1)))
    func interrupted() async throws {
      let folder = try TemporaryFolder()
      let load = try start(["--devices", "20", "--rounds", "1000"], in: folder)
      let isUp = try await eventually(within: .seconds(40)) { load.log.contains("round 2") }
      #expect(isUp, "\(load.log.suffix(2000))")
      load.signal(SIGINT)
      #expect(try await load.wait(within: .seconds(20)) == 130, "\(load.log.suffix(2000))")
      #expect(load.log.contains("all programs are stopped"))
    }

    private func check(_ report: Report) throws {
      #expect(report.outcome == .completed)
      #expect(report.descriptor.count == 20)
      #expect(report.rounds.map(\.round) == [1, 2])
      for round in report.rounds {
        #expect(round.counted == 20)
        #expect(round.invited == 20)
        #expect(round.invitations == 20 + round.repeated)
        #expect(round.lost == 0)
        #expect(round.delivery.count == 20)
        #expect(0 < round.delivery.p50 && round.delivery.p50 <= round.delivery.p95 && round.delivery.p99 <= round.delivery.max)
        #expect(round.delivery.max <= round.seconds + 1)
      }
      #expect(report.delivery.count == 40)
      #expect(report.refusals.isEmpty)
      #expect(report.lostConnections == 0)
      #expect(report.processes.map(\.name) == ["broker", "central", "north", "south", "generator"])
      #expect(report.processes.allSatisfy { $0.residentBytes > 1 << 20 && $0.peakBytes >= $0.residentBytes })
    }

    private func start(_ arguments: [String], in folder: TemporaryFolder) throws -> ChildProcess {
      try ChildProcess(
        "\(try Checkout.executables())/muster", ["load", "--output", "json", "--folder", folder.file("fleet")] + arguments,
        log: folder.file("load.log"))
    }

    private func run(_ arguments: [String]) async throws -> Report {
      let folder = try TemporaryFolder()
      let load = try start(arguments, in: folder)
      #expect(try await load.wait(within: .seconds(100)) == 0, "\(load.log.suffix(2000))")
      // Among the lines for people, only the report is in braces.
      let log = load.log
      let begin = try #require(log.firstIndex(of: "{"))
      let end = try #require(log.lastIndex(of: "}"))
      return try JSON.decode(Report.self, from: log[begin...end].utf8)
    }
  }
}
