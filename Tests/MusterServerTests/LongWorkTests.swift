import Glibc
import MusterAggregation
import MusterGround
import MusterParticipation
import MusterSchema
import MusterStorage
import MusterTensors
import MusterTransfer
import Synchronization
import TestSupport
import Testing

@testable import MusterCoordination
@testable import MusterRegion
@testable import MusterServer
@testable import MusterShell

@Suite("Long work that meets trouble")
struct LongWorkTests {
  @Test("which error numbers pass", arguments: [ENOSPC, EDQUOT, EFBIG, EIO, EMFILE, ENFILE, ENOMEM, EAGAIN])
  func passing(code: Int32) {
    let system = SafetensorsError.system(action: "write", path: "x", code: code)
    #expect(Trouble.isPassing(system))
    #expect(Trouble.isPassing(AggregationError.output(path: "x", system)))
    #expect(Trouble.isPassing(AggregationError.base(path: "x", system)))
    #expect(Trouble.isPassing(AggregationError.update(path: "x", system)))
    #expect(Trouble.isPassing(AggregationError.state(path: "x", "cannot be written", passing: true)))
  }

  @Test("which errors do not pass")
  func lasting() {
    for code in [ENOENT, EACCES, EISDIR, ENAMETOOLONG, EROFS] {
      #expect(!Trouble.isPassing(AggregationError.base(path: "x", .system(action: "open", path: "x", code: code))))
    }
    #expect(!Trouble.isPassing(AggregationError.nothingAccepted([])))
    #expect(!Trouble.isPassing(AggregationError.notFinite(tensor: "w")))
    #expect(!Trouble.isPassing(Problem(.unknownBlob, "x")))
    #expect(Trouble.isPassing(Problem(.centralUnreachable, "x")))
    #expect(Trouble.isPassing(Problem(.diskFull, "x")))
    #expect(!Trouble.isPassing(StorageError.corrupt("x")) && Trouble.isPassing(StorageError.diskFull("x")))
  }

  @Test("a region whose disk is full while it folds waits, says why, and goes on when there is room")
  func fold() async {
    await #expect(processExitsWith: .success) {
      let folder = try TemporaryFolder()
      let store = try StateFolder(folder: folder.file("state"))
      let (item, models) = try frozen(store)
      var limit = rlimit(rlim_cur: 16 << 10, rlim_max: 1 << 40)
      let isLimited = setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0
      #expect(isLimited)
      let mailbox = Mailbox<RegionMachine.Event>()
      let work = RegionWork(state: store, models: models)
      let (key, logger) = (item.key, LogRecorder().logger)
      let reports = LongWorkReports<RegionMachine.Event>(
        "aggregate", mailbox: mailbox, logger: logger, isWanted: { true }, trouble: work.trouble, delayed: { .below(key.delayed($0)) },
        failed: { .below(key.failed($0)) })
      let pieces = WorkRunner<WorkKey, LongWork<RegionWorkItem>>(width: 1)
      pieces.add(item.key, LongWork(item))
      let working = Task {
        await pieces.runAttempts { piece in
          await piece.carryOut(reports) { .below(try await work.attempt(piece.item, logger)) }
        }
      }
      var said: [String] = []
      var combined: Combined?
      while combined == nil {
        await mailbox.wait(until: nil)
        for letter in mailbox.drain(.max) {
          switch letter.event {
          case .below(.workDelayed(.digits, .aggregate, round: 1, reason: let reason)): said.append(reason)
          case .below(.combined(.digits, item.key.roundKey, let result)): combined = result
          default: Issue.record("unexpected: \(letter.event)")
          }
          letter.sender?.resume(returning: .committed)
        }
        var room = rlimit(rlim_cur: 1 << 30, rlim_max: 1 << 40)
        if said.count == 2 { setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &room) }
      }
      working.cancel()
      await working.value
      #expect(combined?.refused.isEmpty == true && combined.flatMap { store.place(of: $0.result.digest) } != nil)
      #expect(said.count == 2 && said.allSatisfy { $0.contains("File too large") }, "\(said)")
    }
  }

  @Test("a result that cannot be stored is handed over again until it is")
  func report() async {
    let mailbox = Mailbox<Int>()
    let working = Task { await LongWork("addition").carryOut(reports(mailbox)) { 42 } as WorkQueue<Int, LongWork<String>>.End }
    var outcomes: [Submission] = [.committed, .busy, .failed(.diskFull("x"))]
    while let outcome = outcomes.popLast() {
      await mailbox.wait(until: nil)
      for letter in mailbox.drain(.max) {
        #expect(letter.event == 42)
        letter.sender?.resume(returning: outcome)
      }
    }
    if case .again = await working.value { Issue.record("it is finished") }
    #expect(mailbox.count == 0)
  }

  @Test("an attempt that meets trouble gives its place to other work, and is made again after its pause")
  func place() async throws {
    let mailbox = Mailbox<Int>()
    let runner = WorkRunner<String, LongWork<String>>(width: 1)
    let attempts = Mutex<[String]>([])
    let running = Task {
      await runner.runAttempts { work in
        await work.carryOut(reports(mailbox)) {
          let isFirst = attempts.withLock { attempts in
            attempts.append(work.item)
            return attempts.count == 1
          }
          if isFirst { throw StorageError.diskFull("x") }
          return 42
        }
      }
    }
    for name in ["sick", "well"] { runner.add(name, LongWork(name)) }
    var events: [Int] = []
    while events.count < 3 {
      await mailbox.wait(until: nil)
      for letter in mailbox.drain(.max) {
        events.append(letter.event)
        letter.sender?.resume(returning: .committed)
      }
    }
    running.cancel()
    await running.value
    let item = attempts.withLock { $0 }
    #expect(item == ["sick", "well", "sick"] && events == [0, 42, 42])
  }

  @Test("work that nobody waits for any more is not done")
  func unwanted() async {
    let end: WorkQueue<Int, LongWork<String>>.End = await LongWork("addition").carryOut(reports(Mailbox(), isWanted: false)) {
      Issue.record("it is done")
      return 42
    }
    if case .again = end { Issue.record("it is finished") }
  }

  /// Reports whose events are 0 for a delay and -1 for giving up.
  private func reports(_ mailbox: Mailbox<Int>, isWanted: Bool = true) -> LongWorkReports<Int> {
    LongWorkReports(
      "addition", mailbox: mailbox, logger: LogRecorder().logger, isWanted: { isWanted },
      trouble: { Trouble.isPassing($0) ? .passing : .lasting }, delayed: { _ in 0 }, failed: { _ in -1 })
  }

  @Test("each round, phase and attempt is work of its own, also while that of another runs")
  func keys() async throws {
    let folder = try TemporaryFolder()
    let store = try StateFolder(folder: folder.file("state"))
    let pieces = try [(1, 1), (1, 2), (2, 1)].map { try frozen(store, round: $0.0, attempt: $0.1).item }
    #expect(Set(pieces.map(\.key)).count == 3)
    let queue = WorkRunner<WorkKey, RegionWorkItem>(width: 1)
    let gate = AsyncStream<Void>.makeStream()
    let done = Mutex<[WorkKey]>([])
    for item in pieces { queue.add(item.key, item) }
    let running = Task {
      await queue.run { item in
        if item.key == pieces[0].key { for await _ in gate.stream { break } }
        done.withLock { $0.append(item.key) }
      }
    }
    for item in pieces { queue.add(item.key, item) }
    gate.continuation.yield()
    let all = try await eventually { done.withLock { Set($0) } == Set(pieces.map(\.key)) }
    #expect(all)
    running.cancel()
    await running.value
  }
}

extension TaskID { fileprivate static let digits = TaskID(unchecked: "digits") }

/// A region's frozen set of one update, with the base to which it belongs.
private func frozen(_ store: StateFolder, round: Int = 1, attempt: Int = 1) throws -> (item: RegionWorkItem, models: CentralBlobs) {
  let (north, pi) = (NodeID(unchecked: "north"), NodeID(unchecked: "pi-1"))
  func blob(_ value: Float, _ metadata: [String: String] = [:]) throws -> Digest {
    let bytes = try SafetensorsWriter.bytes(
      [Tensor(name: "w", shape: [16 << 10], floats: [Float](repeating: value, count: 16 << 10))], metadata: metadata)
    let staged = try store.stage()
    try staged.write(bytes)
    return try store.adopt(staged)
  }
  let (base, update) = (try blob(0), try blob(1))
  var region = RegionMachine(id: north, above: .central, configuration: CoordinatorConfiguration(data: "http://north:7410"))
  let specification = TaskSpecification(
    name: "digits", model: ModelSpecification(type: "softmax"), regions: [north], rounds: 3, cohort: CohortSpecification(size: 1),
    upload: .region)
  let descriptor = TaskDescriptor(
    task: .digits, specification: specification, revision: 1, state: .open, central: "http://central:7400")
  let item = Invitation(
    task: .digits, revision: 1, key: RoundKey(round: round, phase: .train, attempt: attempt), quota: 1, minimum: 1,
    base: ModelReference(digest: base, bytes: 10), upload: "http://central:7400/v1/x/north", seed: 5, secondsLeft: 600, startWithin: 0)
  let record = ContributionRecord(path: NodePath(north, pi), digest: update, weight: 10, bytes: 10, metrics: [:])
  let events: [RegionMachine.Event] = [
    .above(.descriptor(descriptor)),
    .below(
      .node(NodeState(node: pi, online: true, session: "a", nodeKind: .device, capabilities: Capabilities(trainers: ["built-in"])))),
    .below(.status(NodeStatus(node: pi, task: .digits, state: .ready, devices: 1))), .above(.invitation(item)),
    .below(.contribution(.digits, round: round, phase: .train, record, reply: Coordinator.Reply(1))),
  ]
  for event in events { _ = region.handle(event, at: .zero) }
  let models = CentralBlobs(state: store, client: try HTTPClient(logger: LogRecorder().logger)) { nil }
  guard let item = RegionWorkItem(.digits, region.coordinator) else { throw TestSupportError("nothing is frozen") }
  return (item, models)
}
