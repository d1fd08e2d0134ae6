import FoundationEssentials
import Hummingbird
import Logging
import MusterCoordination
import MusterGround
import MusterSchema
import MusterStorage
import MusterTensors
import MusterTransfer
import ServiceLifecycle
import Synchronization
import TestSupport

@testable import MusterDataPlane
@testable import MusterServer

/// A data plane on a free port, with a ledger whose answers the test sets.
struct TestServer: Sendable {
  let port: Int
  let store: StateFolder
  let ledger: FakeLedger
  let client: HTTPClient
  let folder: TemporaryFolder
  let log: LogRecorder

  var address: String { "http://127.0.0.1:\(port)" }

  static func with(
    limits: ListenerLimits = ListenerLimits(), uploads: UploadLimits = UploadLimits(), _ body: @Sendable (TestServer) async throws -> Void,
    routes: @Sendable (Router<RouteContext>) -> Void = { _ in }
  ) async throws {
    let folder = try TemporaryFolder()
    // Creating a state folder waits for the disk. Many tests run at once, and the servers need the cooperative threads.
    let store = try await offload { () throws(StorageError) in
      try StateFolder(folder: folder.file("state"), partials: uploads.partials, logger: quiet)
    }
    let ledger = FakeLedger()
    let record = LogRecorder()
    let source = StoreSource(store: store)
    let client = try HTTPClient()
    try await withListener(ListenerConfiguration(name: "data", port: 0, limits: limits), logger: record.logger) { router in
      BlobRoutes(source: source, state: store, maximumBytes: 1 << 20).add(to: router)
      ContributionRoutes(ledger: ledger, source: source, state: store, limits: uploads).add(to: router)
      routes(router)
      router.get("healthz") { _, _ in textResponse("ok\n") }
    } _: { port in
      try await body(TestServer(port: port, store: store, ledger: ledger, client: client, folder: folder, log: record))
    }
  }

  /// Stores bytes as a blob.
  func blob(_ bytes: [UInt8]) throws -> Digest {
    let staged = try store.stage()
    try staged.write(bytes)
    return try store.adopt(staged)
  }

  var staged: Int {
    get throws { try FileManager.default.contentsOfDirectory(atPath: "\(store.folder)/staging").count }
  }
}

/// Serves routes on a free port for as long as the closure runs.
func withListener(
  _ configuration: ListenerConfiguration, identification: any CallerIdentification = AnonymousCallers(), logger: Logger = quiet,
  routes: (Router<RouteContext>) -> Void, _ body: (_ port: Int) async throws -> Void
) async throws {
  let ports = AsyncStream<Int>.makeStream()
  let listener = Listener(
    configuration, identification: identification, logger: logger, onRunning: { ports.continuation.yield($0) }, routes: routes)
  let services = ServiceGroup(services: [listener], logger: quiet)
  try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask { try await services.run() }
    var iterator = ports.stream.makeAsyncIterator()
    guard let port = await iterator.next() else { throw TestSupportError("no port") }
    do {
      try await body(port)
    } catch {
      await services.triggerGracefulShutdown()
      throw error
    }
    await services.triggerGracefulShutdown()
    try await group.waitForAll()
  }
}

let quiet: Logger = {
  var logger = Logger(label: "test")
  logger.logLevel = .critical
  return logger
}()

struct StoreSource: BlobSource {
  let store: StateFolder

  func locate(_ digest: Digest) async throws(Problem) -> String {
    guard let path = await store.file(of: digest) else { throw .notFound("there is no blob \(digest) here") }
    return path
  }
}

final class FakeLedger: Ledger {
  struct Offer: Hashable {
    var key: ContributionKey
    var contribution: ContributionRecord
    var digest: Digest { contribution.digest }
  }

  struct State {
    var admission: Result<UploadAdmission, Problem> = .success(.unknown)
    var acceptance: Result<Coordinator.Answer, Problem> = .success(.stored)
    var tickets: [Ticket?] = []
    var keys: [ContributionKey] = []
    var offers: [Offer] = []
    var phase: PhaseLedger?
    var counted: [ContributionKey: ContributionRecord] = [:]
  }

  let state = Mutex(State())

  func admission(_ key: ContributionKey, ticket: Ticket?) async throws(Problem) -> UploadAdmission {
    try state.withLock { state in
      state.tickets.append(ticket)
      state.keys.append(key)
      return state.admission
    }.get()
  }

  func accept(_ contribution: ContributionRecord, as key: ContributionKey) async throws(Problem) -> Coordinator.Answer {
    try state.withLock { state in
      state.offers.append(Offer(key: key, contribution: contribution))
      return state.acceptance
    }.get()
  }

  /// Sets the ledger's answer before and after the body.
  func admit(_ admission: UploadAdmission) { state.withLock { $0.admission = .success(admission) } }

  func counted(_ key: ContributionKey) async -> ContributionRecord? { state.withLock { $0.counted[key] } }
  func phaseLedger(task: TaskID, round: Int, phase: Phase) async -> PhaseLedger? { state.withLock(\.phase) }

  var offers: [Offer] { state.withLock(\.offers) }
}

/// An update with the metadata of the contract. Tests change parts of it.
struct Update {
  var metadata: [String: String]
  var tensors: [Tensor]

  init(base: Digest, fill: Float = 0.5, weight: Double = 100) throws {
    metadata = [
      "muster.task": "digits", "muster.round": "3", "muster.base": "\(base)", "muster.weight": "\(weight)",
      "muster.content": "parameters", "muster.metrics": #"{"accuracy":0.5,"loss":0.25}"#,
    ]
    tensors = [
      try Tensor(name: "conv.weight", shape: [4, 3], floats: [Float](repeating: fill, count: 12)),
      try Tensor(name: "conv.bias", shape: [4], floats: [Float](repeating: fill, count: 4)),
    ]
  }

  var bytes: [UInt8] { get throws { try SafetensorsWriter.bytes(tensors, metadata: metadata) } }

  /// The base model of updates of this shape.
  static var baseBytes: [UInt8] {
    get throws {
      let zero = Digest(of: [0])
      return try SafetensorsWriter.bytes(try Update(base: zero, fill: 0).tensors)
    }
  }
}
