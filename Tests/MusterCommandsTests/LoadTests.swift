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
    #expect(error.description.contains("or ask for \(most) devices at most"))
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
}
