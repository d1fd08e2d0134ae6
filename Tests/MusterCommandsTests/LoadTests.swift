import ArgumentParser
import Glibc
import MusterSchema
import Testing

@testable import MusterCommands
@testable import MusterLoad

@Suite("The load")
struct LoadTests {
  @Test("percentiles are values that were measured, by nearest rank")
  func percentiles() throws {
    #expect(Percentiles([]) == nil)
    let one = try #require(Percentiles([7]))
    #expect([one.p50, one.p95, one.p99, one.max] == [7, 7, 7, 7])
    let hundred = try #require(Percentiles((1...100).reversed().map(Double.init)))
    #expect([hundred.p50, hundred.p95, hundred.p99, hundred.max] == [50, 95, 99, 100])
    let three = try #require(Percentiles([3, 1, 2]))
    #expect([three.p50, three.p95, three.p99, three.max] == [2, 3, 3, 3])
    #expect(three.count == 3)
  }

  @Test("timers ring in the order in which they are due, and none before its time")
  func timers() {
    let now = ContinuousClock.now
    var heap = TimerHeap<Int>()
    for due in [5, 1, 4, 1, 3, 9, 2, 6] { heap.add(due, due: now + .seconds(due)) }
    #expect(heap.next == now + .seconds(1))
    var rung: [Int] = []
    while let item = heap.take(at: now + .seconds(5)) { rung.append(item) }
    #expect(rung == [1, 1, 2, 3, 4, 5])
    #expect(heap.next == now + .seconds(6))
    #expect(heap.take(at: now) == nil)
  }

  @Test("a process's cost is read from /proc, whatever the program is called")
  func readings() throws {
    let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0"
    let reading = try ProcessReading(stat: stat, status: "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
    #expect(reading.processorSeconds == 2)
    #expect(reading.peakBytes == 2 << 20)
    #expect(reading.residentBytes == 1 << 20)
    #expect(throws: LoadError.self) { try ProcessReading(stat: stat, status: "Name:\ta\n") }
    #expect(throws: LoadError.self) { try ProcessReading(stat: "42 (a) Z 1", status: "") }
    #expect(try ProcessReading(of: getpid()).peakBytes > 0)
  }

  @Test("devices need three descriptors each, and the refusal says how many devices would do")
  func descriptors() {
    #expect(FileLimit.needed(devices: 1000, transfers: 64) == 3384)
    let most = FileLimit.devices(within: 1024, transfers: 64)
    #expect(FileLimit.needed(devices: most, transfers: 64) <= 1024)
    #expect(FileLimit.needed(devices: most + 1, transfers: 64) > 1024)
    #expect(FileLimit.devices(within: 100, transfers: 64) == 0)
    let error = LoadError.tooFewDescriptors(needed: 3384, allowed: 1024, devices: 1000, most: most)
    #expect(error.description.contains("or use at most \(most) devices"))
    #expect(throws: LoadError.self) { try FileLimit.raise(for: 1_000_000_000, transfers: 1) }
  }

  @Test("the devices are dealt to the regions, and the task asks for the cohort")
  func plan() throws {
    let settings = LoadSettings(
      devices: 5, rounds: 2, upload: .region, cohort: 4, seconds: 60, transfers: 8, evaluates: false, spreads: true)
    let regions = DemoPlan.regionNames(2)
    #expect(
      settings.paths(regions).map(\.description) == ["north/pi-1", "north/pi-2", "north/pi-3", "south/pi-1", "south/pi-2"])
    let task = settings.task(regions)
    #expect(task.problems().isEmpty)
    #expect(task.cohort.size == 4)
    #expect(task.cohort.minimum == 3)
    #expect(task.evaluate.every == 0)
    #expect(task.upload == .region)
  }

  @Test(
    "what makes no sense on the command line is refused",
    arguments: [
      ["--devices", "0"], ["--devices", "20001"], ["--regions", "21"], ["--devices", "2", "--regions", "3"],
      ["--devices", "10", "--cohort", "11"], ["--rounds", "0"], ["--seconds", "5"], ["--transfers", "0"], ["--upload", "moon"],
    ])
  func commandLine(_ arguments: [String]) {
    #expect(throws: (any Error).self) { try LoadCommand.parse(arguments) }
  }

  @Test("costs are milliseconds for each device, of each round and of all of them")
  func costs() throws {
    func reading(_ seconds: Double) -> ProcessReading {
      ProcessReading(processorSeconds: seconds, residentBytes: 1, peakBytes: 2)
    }
    var course = LoadCourse(started: .now, atStart: [reading(1)])
    course.atPush = [reading(2)]
    course.atRounds = [(1, [reading(2.5)]), (2, [reading(3)])]
    course.atEnd = [reading(4)]
    let settings = LoadSettings(
      devices: 10, rounds: 2, upload: .central, cohort: 5, seconds: 60, transfers: 8, evaluates: false, spreads: true)
    let spans = CostSpans(course, names: ["central"], settings: settings)
    #expect(spans.rounds == [1: ["central": 100], 2: ["central": 200]])
    let central = try #require(spans.processes.first)
    #expect([central.connecting, central.describing, central.round] == [100, 50, 150])
    #expect(central.peakBytes == 2)
  }

  @Test("a round's figures are central's record and what the devices saw; one without a record is there, too")
  func report() throws {
    let now = ContinuousClock.now
    let digest = Digest(of: [])
    var measures = LoadMeasures(devices: 3)
    measures.described = [now + .seconds(1), now + .seconds(2), nil]
    var first = RoundMeasure(began: now + .seconds(3))
    first.invited = [0: now + .seconds(3), 1: now + .seconds(4)]
    (first.invitations, first.repeated, first.delivered) = (3, 1, [0.5])
    first.lastDelivered = now + .seconds(5)
    first.refusals = [RequestFailure(status: 503, code: "busy"): 2]
    measures.rounds[.train] = [1: first, 2: RoundMeasure(began: now + .seconds(9))]
    let path = NodePath(NodeID(unchecked: "north"), NodeID(unchecked: "pi-1"))
    let record = RoundRecord(
      round: 1, attempts: 2, base: digest, result: digest, strategy: .named("fedavg"),
      updates: [ContributionRecord(path: path, digest: digest, weight: 1, bytes: 1, metrics: [:])], evaluations: [],
      missed: [
        Waiting(node: "north/pi-2", reason: "accepted"), Waiting(node: "north/pi-3", reason: "silent"),
        Waiting(node: "north", reason: "late"),
      ], metrics: nil, deviceMetrics: nil, seconds: 6)
    var course = LoadCourse(started: now - .seconds(2), atStart: [])
    (course.connected, course.pushed, course.ended) = (now - .seconds(1), now, now + .seconds(20))
    course.atRounds = [(1, []), (2, [])]
    course.outcome = .failed
    let settings = LoadSettings(
      devices: 3, rounds: 2, upload: .central, cohort: 3, seconds: 60, transfers: 8, evaluates: false, spreads: true)
    let report = try LoadReport(settings, regions: 1, course, measures, records: [record], names: [])
    #expect(report.connectSeconds == 1)
    #expect(report.descriptor?.count == 2)
    #expect(report.rounds.map(\.round) == [1, 2])
    #expect(report.rounds.map(\.seconds) == [6, nil])
    #expect(report.rounds.map(\.attempts) == [2, nil])
    #expect(report.rounds.map(\.counted) == [1, 0])
    #expect(report.rounds.map(\.invited) == [2, 0])
    // In round 1 one device never got its invitation, and one got it and is named as missing. In round 2 no device got one.
    #expect(report.rounds.map(\.lost) == [2, 3])
    #expect(report.rounds[0].inviting?.max == 1)
    #expect(report.rounds[0].closing == 4)
    #expect(report.refusals == [LoadReport.RefusalCount(status: 503, code: "busy", count: 2)])
    #expect(report.lines(ink: .none).contains("refused or failed requests: 503 busy: 2"))
  }
}
