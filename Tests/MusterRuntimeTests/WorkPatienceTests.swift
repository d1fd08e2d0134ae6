import Glibc
import MusterAggregation
import MusterSchema
import MusterStorage
import MusterTensors
import MusterTransfer
import Synchronization
import TestSupport
import Testing

@testable import MusterCoordination
@testable import MusterRegion
@testable import MusterRuntime
@testable import MusterShell

@Suite("Long work that meets trouble")
struct WorkPatienceTests {
  @Test("is tried for ever while the trouble passes, some times when it is not known, and once when it lasts")
  func patience() {
    var patience = WorkPatience()
    let pauses = (0..<50).compactMap { _ in patience.pause(after: .passing) }
    #expect(pauses.count == 50 && pauses.max() == .seconds(30) && pauses.first == .seconds(2))
    patience = WorkPatience()
    #expect((0..<5).compactMap { _ in patience.pause(after: .unclear) } == [.seconds(2), .seconds(4), .seconds(8)])
    patience = WorkPatience()
    #expect(patience.pause(after: .lasting) == nil)
  }

  @Test("which error numbers pass", arguments: [ENOSPC, EDQUOT, EFBIG, EIO, EMFILE, ENFILE, ENOMEM, EAGAIN])
  func passing(code: Int32) {
    let system = SafetensorsError.system(action: "write", path: "x", code: code)
    #expect(WorkPatience.isPassing(system))
    #expect(WorkPatience.isPassing(AggregationError.output(path: "x", system)))
    #expect(WorkPatience.isPassing(AggregationError.base(path: "x", system)))
    #expect(WorkPatience.isPassing(AggregationError.update(path: "x", system)))
    #expect(WorkPatience.isPassing(AggregationError.state(path: "x", "cannot be written", passing: true)))
  }

  @Test("which errors do not pass")
  func lasting() {
    for code in [ENOENT, EACCES, EISDIR, ENAMETOOLONG, EROFS] {
      #expect(!WorkPatience.isPassing(AggregationError.base(path: "x", .system(action: "open", path: "x", code: code))))
    }
    #expect(!WorkPatience.isPassing(AggregationError.nothingAccepted([])))
    #expect(!WorkPatience.isPassing(AggregationError.notFinite(tensor: "w")))
    #expect(!WorkPatience.isPassing(Problem(.unknownBlob, "x")))
    #expect(WorkPatience.isPassing(Problem(.centralUnreachable, "x")))
    #expect(WorkPatience.isPassing(Problem(.diskFull, "x")))
    #expect(!WorkPatience.isPassing(StorageError.corrupt("x")) && WorkPatience.isPassing(StorageError.diskFull("x")))
  }

  @Test("a region whose disk is full while it folds waits, says why, and goes on when there is room")
  func fold() async {
    await #expect(processExitsWith: .success) {
      let folder = try TemporaryFolder()
      let store = try Store(folder: folder.file("state"))
      let (order, models) = try frozen(store)
      var limit = rlimit(rlim_cur: 16 << 10, rlim_max: 1 << 40)
      let isLimited = setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0
      #expect(isLimited)
      let delays = Mutex<[String]>([])
      let work = RegionWork(store: store, models: models, logger: LogRecorder().logger) { event in
        if case .workDelayed(.digits, .aggregate, round: 1, reason: let reason) = event { delays.withLock { $0.append(reason) } }
        var room = rlimit(rlim_cur: 1 << 30, rlim_max: 1 << 40)
        if delays.withLock(\.count) == 2 { setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &room) }
      }
      guard case .below(.combined(.digits, order.key.roundKey, let combined)) = await work.perform(order) else {
        Issue.record("nothing was combined")
        return
      }
      #expect(combined.refused.isEmpty && store.path(of: combined.result.digest) != nil)
      let said = delays.withLock { $0 }
      #expect(said.count == 2 && said.allSatisfy { $0.contains("File too large") }, "\(said)")
    }
  }

  @Test("each round, phase and attempt is work of its own, also while that of another runs")
  func keys() async throws {
    let folder = try TemporaryFolder()
    let store = try Store(folder: folder.file("state"))
    let orders = try [(1, 1), (1, 2), (2, 1)].map { try frozen(store, round: $0.0, attempt: $0.1).order }
    #expect(Set(orders.map(\.key)).count == 3)
    let queue = WorkRunner<WorkKey, RegionOrder>(width: 1)
    let gate = AsyncStream<Void>.makeStream()
    let done = Mutex<[WorkKey]>([])
    for order in orders { queue.add(order.key, order) }
    let running = Task {
      await queue.run { order in
        if order.key == orders[0].key { for await _ in gate.stream { break } }
        done.withLock { $0.append(order.key) }
      }
    }
    for order in orders { queue.add(order.key, order) }
    gate.continuation.yield()
    let all = try await eventually { done.withLock { Set($0) } == Set(orders.map(\.key)) }
    #expect(all)
    running.cancel()
    await running.value
  }
}

extension TaskID { fileprivate static let digits = TaskID(unchecked: "digits") }

/// A region's frozen set of one update, and the base that it is for.
private func frozen(_ store: Store, round: Int = 1, attempt: Int = 1) throws -> (order: RegionOrder, models: BlobCache) {
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
  let order = Invitation(
    task: .digits, revision: 1, key: RoundKey(round: round, phase: .train, attempt: attempt), quota: 1, minimum: 1,
    base: ModelReference(digest: base, bytes: 10), upload: "http://central:7400/v1/x/north", seed: 5, secondsLeft: 600, startWithin: 0)
  let record = ContributionRecord(path: NodePath(north, pi), digest: update, weight: 10, bytes: 10, metrics: [:])
  let events: [RegionMachine.Event] = [
    .above(.descriptor(descriptor)),
    .below(
      .node(NodeState(node: pi, online: true, session: "a", nodeKind: .device, capabilities: Capabilities(trainers: ["built-in"])))),
    .below(.status(NodeStatus(node: pi, task: .digits, state: .ready, devices: 1))), .above(.invitation(order)),
    .below(.contribution(.digits, round: round, phase: .train, record, reply: Coordinator.Reply(1))),
  ]
  for event in events { _ = region.handle(event, at: .zero) }
  let models = BlobCache(store: store, client: try HTTPClient(logger: LogRecorder().logger)) { nil }
  guard let order = RegionOrder(.digits, region.coordinator) else { throw TestSupportError("nothing is frozen") }
  return (order, models)
}
