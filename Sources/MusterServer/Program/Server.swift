package import Hummingbird
package import Logging
package import MusterCoordination
import MusterMQTT
import MusterParticipation
package import MusterSchema
package import MusterShell
package import MusterStorage
import ServiceLifecycle

/// The parts of every server process: its state folder, its machine in a shell, its own topics, and two listeners.
package struct Server<M: ServerMachine>: Sendable {
  package let configuration: ServerConfiguration
  package let state: StateFolder
  package let shell: Shell<M>
  package let topics: CoordinatorTopics
  package let logger: Logger

  package var id: NodeID { configuration.id }

  /// Opens the state folder and restores the machine from the journal.
  ///
  /// - Parameters:
  ///   - declared: the nodes that may be invited; `nil` allows every node that announces itself.
  ///   - isMember: whether a node belongs to this server. Messages of other nodes are ignored.
  package init(
    _ configuration: ServerConfiguration, declared: Set<NodeID>? = nil, isMember: @escaping @Sendable (NodeID) -> Bool = { _ in true },
    logger: Logger
  ) async throws {
    let id = configuration.id
    let state = try StateFolder(folder: configuration.state, partials: configuration.uploads.partials, logger: logger)
    try state.emptyWorkFolder()
    var coordination = CoordinatorConfiguration(data: configuration.data.advertise, declared: declared)
    coordination.maximumBytes = configuration.uploads.contributionBytes
    coordination.storeIsNew = state.store.wasCreatedEmpty
    let records = try await state.store.restore(M.Record.self, machine: M.journalName) { [coordination] in
      M.summaries(of: $0, id: id, configuration: coordination)
    }
    let instant = Instant(milliseconds: try await state.store.lastInstant(machine: M.journalName))
    let machine = M(id: id, configuration: coordination, restoring: records, at: instant)
    if !records.isEmpty {
      logger.info(
        "continuing from the journal", metadata: ["records": "\(records.count)", "tasks": "\(machine.coordinator.tasks.count)"])
    }
    let link = BrokerLink(
      configuration.broker, topic: .coordinatorState(id), filters: Topic.coordinatorFilters(id), logger: logger
    ) { session, offline in
      CoordinatorState(
        coordinator: id, online: offline == nil, session: session, data: configuration.data.advertise, ops: configuration.ops.advertise,
        version: Muster.version, reason: offline)
    }
    self.configuration = configuration
    self.state = state
    shell = Shell(machine, name: M.journalName, store: state.store, clock: MachineClock(resuming: instant), logger: logger)
    topics = CoordinatorTopics(
      coordinator: id, link: link, meter: TrafficMeter(folder: configuration.state, logger: logger),
      times: try await PresenceTimes(store: state.store, logger: logger), isMember: isMember)
    self.logger = logger
  }

  package var history: HistoryReader { HistoryReader(store: state.store, server: id, logger: logger) }

  package var info: ServerInfo {
    ServerInfo(
      coordinator: id, version: Muster.version, broker: configuration.broker.url, data: configuration.data.advertise)
  }

  /// Passes an event to the coordinator and waits until its records are durable.
  ///
  /// - Throws: the problem to answer with, if they could not be stored.
  package func submit(_ event: Coordinator.Event) async throws(Problem) {
    switch await shell.mailbox.submit(M.event(event)) {
    case .committed: return
    case .busy: throw Problem(.mailboxFull, "the mailbox of \(id) is full: try again")
    case .failed(let error): throw Problem(error)
    }
  }
}

extension Server {
  /// The link to the broker of the server's own nodes.
  package func link<D: Desk>(name: String, _ performer: DeskPerformer<D>) -> ServerLink where D.M == M {
    ServerLink(
      topics.link, name: name, connected: { await shell.mailbox.post(M.event(.connected)) },
      disconnected: { await shell.mailbox.post(M.event(.disconnected)) },
      receive: { topic, message in
        if let event = topics.event(topic, message) { await shell.mailbox.post(M.event(event)) }
        if let (task, found) = topics.descriptor(topic, message) {
          await shell.read { performer.repair(task, found, owed: $0) }
        }
      })
  }

  /// Runs the server until the process is told to stop. The services stop in the reverse of the order in which they started.
  ///
  /// - Parameters:
  ///   - work: services that run beside the shell.
  ///   - links: connect once both listeners accept connections, so that a server that cannot listen never appears on topics.
  ///   - callers: identifies the callers of the data listener.
  ///   - data: adds the program's own routes of the data listener.
  ///   - ops: adds the program's own routes of the ops listener.
  ///   - streams: services that must stop before the listeners can.
  package func run(
    _ performer: some EffectPerformer<M>, work: [BackgroundService], links: [ServerLink],
    callers: any CallerIdentification = AnonymousCallers(), data: (Router<RouteContext>) -> Void, ops: (Router<RouteContext>) -> Void,
    streams: [BackgroundService] = []
  ) async throws {
    let ready = ListenersReady(count: 2)
    let running: @Sendable (Int) async -> Void = { _ in ready.running() }
    let listeners = [
      Listener(configuration.data, identification: callers, logger: logger, onRunning: running) { addDataRoutes(to: $0, data) },
      Listener(configuration.ops, logger: logger, onRunning: running) { addOperationsRoutes(to: $0, links, ops) },
    ]
    for warning in [configuration.data.warning, configuration.ops.warning].compactMap({ $0 }) { logger.warning("\(warning)") }
    // Long work that is owed starts even without a broker.
    await shell.mailbox.post(M.event(.connected))
    await shell.mailbox.post(M.event(.disconnected))
    var services: [any Service] = [BackgroundService { await shell.run(performing: performer) }]
    services += work
    services += listeners
    services += [
      BackgroundService {
        try await ready.wait()
        logReady()
        try await withThrowingDiscardingTaskGroup { group in
          for link in links { group.addTask { try await link.run() } }
        }
      }
    ]
    services += streams
    services += [
      trafficKeeper(topics.meter) { await shell.machine.coordinator }, presenceKeeper(topics.times) { await shell.machine.coordinator },
    ]
    try await runServices(services, logger: logger)
  }

  /// Adds the routes that every data listener has, then the program's own.
  func addDataRoutes(to router: Router<RouteContext>, _ own: (Router<RouteContext>) -> Void) {
    router.add(middleware: TrafficMiddleware(topics.meter))
    router.get("healthz") { _, _ in textResponse("ok\n") }
    own(router)
  }

  /// Adds the routes that every ops listener has, then the program's own.
  func addOperationsRoutes(to router: Router<RouteContext>, _ links: [ServerLink], _ own: (Router<RouteContext>) -> Void) {
    ServerRoutes(info: info, links: links).add(to: router)
    HistoryRoutes(history: history).add(to: router)
    own(router)
  }

  private func logReady() {
    var metadata: Logger.Metadata = [
      "data": "\(configuration.data.advertise)", "ops": "\(configuration.ops.advertise)", "version": "\(Muster.version)",
    ]
    if id != .central { metadata["node.id"] = "\(id)" }
    logger.info("\(logger.label) is ready", metadata: metadata)
  }
}
