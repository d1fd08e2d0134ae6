import Hummingbird
import Logging
import MusterCoordination
import MusterDataPlane
import MusterSchema
import MusterServer
import MusterStorage
import ServiceLifecycle
import Synchronization
import TestSupport

/// A coordinator's data plane with the servers' own routes, and a ledger that accepts one contribution for each path.
struct RealDataPlane: Sendable {
  let port: Int
  let store: StateFolder
  let ledger: OpenLedger

  static func with(_ folder: TemporaryFolder, base: [UInt8], _ body: @Sendable (RealDataPlane) async throws -> Void) async throws {
    let store = try StateFolder(folder: folder.file("server"), logger: Device.quiet)
    let staged = try store.stage()
    try staged.write(base)
    let ledger = OpenLedger(base: try store.adopt(staged))
    let source = StoredBlobs(store: store)
    let ports = AsyncStream<Int>.makeStream()
    let listener = Listener(
      ListenerConfiguration(name: "data", port: 0), logger: Device.quiet, onRunning: { ports.continuation.yield($0) },
      routes: { router in
        BlobRoutes(source: source).add(to: router)
        ContributionRoutes(ledger: ledger, source: source, state: store).add(to: router)
      })
    let services = ServiceGroup(services: [listener], logger: Device.quiet)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await services.run() }
      var iterator = ports.stream.makeAsyncIterator()
      guard let port = await iterator.next() else { throw TestSupportError("no port") }
      do {
        try await body(RealDataPlane(port: port, store: store, ledger: ledger))
      } catch {
        await services.triggerGracefulShutdown()
        throw error
      }
      await services.triggerGracefulShutdown()
      try await group.waitForAll()
    }
  }
}

private struct StoredBlobs: BlobSource {
  let store: StateFolder

  func locate(_ digest: Digest) async throws(Problem) -> String {
    guard let path = await store.file(of: digest) else { throw .notFound("no such blob") }
    return path
  }
}

final class OpenLedger: Ledger {
  struct Offer {
    var key: ContributionKey
    var contribution: ContributionRecord
    var digest: Digest { contribution.digest }
  }

  private let base: Digest
  private let offers = Mutex<[Offer]>([])

  init(base: Digest) { self.base = base }

  var accepted: [Offer] { offers.withLock(\.self) }

  func admission(_ key: ContributionKey, ticket: Ticket?) async -> UploadAdmission {
    guard ticket == Ticket("secret-ticket") else { return .refused("wrong ticket") }
    if let earlier = accepted.first(where: { $0.key == key }) { return .accepted(earlier.digest) }
    return .open(UploadTerms(base: base, maximumWeight: 1e9, maximumBytes: 1 << 30))
  }

  func accept(_ contribution: ContributionRecord, as key: ContributionKey) async -> Coordinator.Answer {
    offers.withLock { $0.append(Offer(key: key, contribution: contribution)) }
    return .stored
  }

  func counted(_ key: ContributionKey) async -> ContributionRecord? { nil }

  func phaseLedger(task: TaskID, round: Int, phase: Phase) async -> PhaseLedger? {
    PhaseLedger(task: task, round: round, phase: phase, open: true, accepted: accepted.map(\.key.path))
  }
}
