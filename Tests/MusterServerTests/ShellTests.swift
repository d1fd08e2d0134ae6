import Glibc
import Logging
import MusterCoordination
import MusterParticipation
import MusterSchema
import MusterStorage
import Synchronization
import TestSupport
import Testing

@testable import MusterServer

/// A machine that stores a number for each task. An infinite number can never be stored.
private struct Counter: Machine {
  enum Event: Sendable {
    case add(TaskID, Double)
    /// A single event that affects several tasks.
    case addToAll(Double)
    case end(TaskID, bare: Bool)
    case tick
  }

  struct Record: HistoricRecord {
    var task: TaskID
    var value: Double
    var kind: String
    var supersedes: [String] { [] }
    var history: [HistoryChange] { [] }
  }

  var values: [TaskID: Double] = [:]
  var ended: [TaskID] = []
  /// Tasks whose end record also contains their values.
  var recordsAtEnd: Set<TaskID> = []

  mutating func handle(_ event: Event, at now: Instant) -> (records: [Record], effects: [TaskID]) {
    switch event {
    case .add(let task, let value): return add([task], value)
    case .addToAll(let value): return add(values.keys.sorted(), value)
    case .end(let task, let bare):
      guard !ended.contains(task) else { return ([], []) }
      ended.append(task)
      var records = [Record(task: task, value: 0, kind: "ended")]
      if !bare, recordsAtEnd.contains(task) { records.append(Record(task: task, value: .infinity, kind: "completed")) }
      return (records, [task])
    case .tick: return ([], [])
    }
  }

  private mutating func add(_ tasks: [TaskID], _ value: Double) -> (records: [Record], effects: [TaskID]) {
    let open = tasks.filter { !ended.contains($0) }
    for task in open { values[task, default: 0] += value }
    return (open.map { Record(task: $0, value: $0.rawValue.hasPrefix("sick") ? .infinity : value, kind: "value") }, open)
  }

  var nextDeadline: Instant? { nil }
  static var tick: Event { .tick }
  static func unstorable(_ task: TaskID, reason: String, bare: Bool) -> Event { .end(task, bare: bare) }
}

private final class Performer: EffectPerformer {
  typealias M = Counter
  let performed = Mutex<[TaskID]>([])
  let failures = Mutex<[StorageError]>([])
  let next: Instant? = nil
  func perform(_ effects: [TaskID], of machine: Counter, at now: Instant) async { performed.withLock { $0 += effects } }
  func failed(_ events: [Counter.Event], _ error: StorageError) async { failures.withLock { $0.append(error) } }
  func stopped() async {}
}

/// A running shell with its store.
private struct Bench {
  let folder: TemporaryFolder
  let store: StateFolder
  let shell: Shell<Counter>
  let performer = Performer()
  let log = LogRecorder()

  init(_ machine: Counter) throws {
    folder = try TemporaryFolder()
    store = try StateFolder(folder: folder.file("state"))
    shell = Shell(machine, name: "counter", store: store.store, clock: MachineClock(resuming: .zero), logger: log.logger)
  }

  /// Submits all events before the shell starts to read the mailbox.
  func submit(_ events: [Counter.Event]) async -> [Submission] {
    await withTaskGroup(of: (Int, Submission).self) { group in
      for (index, event) in events.enumerated() { group.addTask { (index, await shell.mailbox.submit(event)) } }
      let ready = try? await eventually { shell.mailbox.count == events.count }
      #expect(ready == true)
      let running = Task { await shell.run(performing: performer) }
      var outcomes = [Submission](repeating: .busy, count: events.count)
      for await (index, outcome) in group { outcomes[index] = outcome }
      running.cancel()
      await running.value
      return outcomes
    }
  }

  func stored() async throws -> [String] {
    try await store.store.restore(Counter.Record.self, machine: "counter") { _ in [:] }.map { "\($0.record.task) \($0.record.kind)" }
  }
}

private let (well, sick, sicker, other) = (
  TaskID(unchecked: "well"), TaskID(unchecked: "sick-1"), TaskID(unchecked: "sick-2"), TaskID(unchecked: "other")
)

@Suite("A record that can never be stored, in the shell")
struct ShellTests {
  @Test("ends its own task, and what came in the same batch is stored")
  func batch() async throws {
    let bench = try Bench(Counter())
    let outcomes = await bench.submit([.add(well, 1), .add(sick, 1), .add(other, 2), .add(well, 3), .add(sicker, 1), .add(other, 4)])
    #expect(outcomes.allSatisfy { $0.isCommitted }, "\(outcomes)")
    #expect(await bench.shell.machine.ended.sorted() == [sick, sicker])
    #expect(await bench.shell.machine.values == [well: 4, other: 6])
    let stored = try await bench.stored()
    #expect(stored.count { $0 == "well value" } == 2 && stored.count { $0 == "other value" } == 2)
    #expect(stored.contains("sick-1 ended") && stored.contains("sick-2 ended"))
    let failures = bench.performer.failures.withLock { $0 }
    #expect(failures.isEmpty)
    #expect(bench.log.lines(with: "task.id=sick-1").contains { $0.contains("value is inf") }, "\(bench.log.lines)")
  }

  @Test("when one event leads to it for several tasks, ends those, and the event does its work for the others")
  func oneEvent() async throws {
    let bench = try Bench(Counter(values: [sick: 0, sicker: 0, well: 0]))
    let outcomes = await bench.submit([.addToAll(1)])
    #expect(outcomes.allSatisfy { $0.isCommitted })
    #expect(await bench.shell.machine.ended.sorted() == [sick, sicker])
    #expect(try await bench.stored().contains("well value"))
    let performed = bench.performer.performed.withLock { $0 }
    #expect(performed.contains(well))
  }

  @Test("ends the task without the record of what it had, when that is what cannot be stored")
  func bare() async throws {
    let bench = try Bench(Counter(recordsAtEnd: [sick]))
    #expect(await bench.submit([.add(sick, 1), .add(well, 1)]).allSatisfy { $0.isCommitted })
    #expect(try await bench.stored().sorted() == ["sick-1 ended", "well value"])
  }

  @Test("a disk that is full fails the whole batch, ends no task, and says so to whoever waits")
  func fullDisk() async {
    await #expect(processExitsWith: .success) {
      let bench = try Bench(Counter())
      var limit = rlimit(rlim_cur: 16 << 10, rlim_max: 1 << 40)
      let isLimited = setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0
      #expect(isLimited)
      let outcomes = await bench.submit((0..<400).map { .add(TaskID(unchecked: "task-\($0)"), 1) })
      #expect(outcomes.allSatisfy { if case .failed(.diskFull) = $0 { true } else { false } }, "\(outcomes.first.map { "\($0)" } ?? "")")
      let machine = await bench.shell.machine
      #expect(machine.ended.isEmpty && machine.values.isEmpty)
      let performed = bench.performer.performed.withLock { $0 }
      #expect(performed.isEmpty, "nothing is spoken that is not stored")
    }
  }
}

extension Submission {
  fileprivate var isCommitted: Bool { if case .committed = self { true } else { false } }
}
