package import Logging
import MusterAuthority
import MusterCoordination
import MusterDataPlane
import MusterEnrolment
import MusterGround
import MusterIdentity
package import MusterSchema
import MusterServer
import MusterShell
import MusterStorage
import MusterTransfer
import Synchronization

/// Central: the server of the root coordinator, with the ops API.
package final class Central: Sendable {
  let configuration: CentralConfiguration
  let server: Server<Coordinator>
  let performer: DeskPerformer<CentralDesk>
  let trainers: CentralWork
  let work: ServerWork<Coordinator, CentralWorkItem>
  let feed: EventFeed
  let client: HTTPClient
  /// `nil` in a plain fleet.
  let members: Members?
  let wishes = ForgetWishes()
  /// Whether a round is being computed again. One at a time, because it takes a processor and memory for a whole round.
  let isReplaying = Mutex(false)

  /// Opens the state folder and restores the machine. Nothing runs before ``run()``.
  package init(_ configuration: CentralConfiguration, logger: Logger) async throws {
    let server = try await Server<Coordinator>(
      configuration.server, declared: configuration.server.identity == nil ? Set(configuration.regions) : nil, logger: logger)
    let trainers = CentralWork(
      state: server.state, trainers: configuration.trainers, testData: configuration.testData, rules: configuration.rules, logger: logger)
    self.configuration = configuration
    self.server = server
    self.trainers = trainers
    work = ServerWork(server, trouble: trainers.trouble, attempt: trainers.attempt)
    feed = EventFeed(store: server.state.store, shell: server.shell, logger: logger)
    performer = DeskPerformer(
      CentralDesk(secret: server.state.secretKey), of: server, work: work, links: [server.topics.link], changed: feed.noteChange
    ) { _ in }
    client = try HTTPClient(HTTPConfiguration(tls: configuration.server.identity?.folder.clientTLS), logger: logger)
    if let identity = configuration.server.identity {
      let authorities = try CentralSetup.folder(in: configuration.server.state).load()
      members = try await Members(
        store: server.state.store, authorities: authorities, place: identity.place, own: try Self.ownKey(identity),
        logger: logger
      ) { regions, revocations in
        do throws(FileError) {
          try await offload { () throws(FileError) in
            try Files.replace(identity.revocationsFile, with: Array(revocations.utf8), durable: true)
            try Files.replace(identity.rulesFile, with: Array(BrokerRules.central(regions: regions).utf8), durable: true)
          }
        } catch {
          logger.error("the files of central's broker cannot be written", metadata: ["error": "\(error)"])
        }
      }
    } else {
      members = nil
    }
  }

  /// The fingerprint of central's key, as its own statement names it.
  private static func ownKey(_ identity: ServerIdentity) throws -> Digest {
    guard let own = try identity.folder.identity() else {
      throw IdentityError.malformed("\(identity.folder.path) is not complete: restore it from a copy")
    }
    return own.member.key
  }

  /// Runs until the process is told to stop.
  package func run() async throws {
    await members?.writeBrokerFiles()
    try await server.run(
      performer,
      // The trainers must stop after the work that uses them.
      work: [BackgroundService { await self.trainers.shutdownWhenCancelled() }] + work.services,
      links: [server.link(name: "broker", performer)], callers: callers, data: addDataRoutes, ops: addOperationsRoutes,
      streams: [BackgroundService { try await self.feed.run() }, BackgroundService { try await self.feed.keepAlive() }])
  }

  /// Identifies the callers of the data listener.
  var callers: any CallerIdentification {
    guard let members else { return AnonymousCallers() }
    return MemberCallers(open: EnrolmentRoutes.open.union(["/healthz"])) { (key) throws(Problem) in try members.member(key) }
  }

  /// The regions that tasks may name: those that enrolled, or in a plain fleet those of the configuration.
  var regionIDs: [NodeID] { members?.regions ?? configuration.regions }
  var shell: Shell<Coordinator> { server.shell }
  var state: StateFolder { server.state }
  var history: HistoryReader { server.history }
  var logger: Logger { server.logger }

  /// Central as the ledger of uploads from devices, or from regions that aggregate.
  var ledger: CoordinatorLedger {
    CoordinatorLedger(server, replies: performer.replies) { [state] run, path in
      Grant(secret: state.secretKey, task: run.id).descendant(path)
    }
  }
}

extension Central: BlobSource {
  package func locate(_ digest: Digest) async throws(Problem) -> String {
    guard let path = await state.file(of: digest) else {
      throw Problem(.unknownBlob, "central has no blob \(digest): it never had it, or retention removed it")
    }
    return path
  }
}
