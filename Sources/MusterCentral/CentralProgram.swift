import HTTPTypes
import Hummingbird
package import Logging
import MusterCoordination
import MusterDataPlane
import MusterMQTT
import MusterParticipation
import MusterSchema
import MusterServer
import MusterShell
import MusterStorage
import MusterTransfer

/// Puts central together and runs it until it is told to stop.
package enum CentralProgram {
  /// The name of its machine in the journal.
  static let machineName = "coordinator"

  package static func run(_ configuration: CentralConfiguration, logger: Logger) async throws {
    let state = try StateFolder(folder: configuration.state, partials: configuration.limits.partials, logger: logger)
    try state.emptyWorkFolder()
    var coordination = CoordinatorConfiguration(data: configuration.data.advertise, declared: Set(configuration.regions))
    coordination.storeIsNew = state.store.wasCreatedEmpty
    let records = try await state.store.restore(Coordinator.Record.self, machine: Self.machineName) { [coordination] in
      Coordinator.summaries(of: $0, id: .central, configuration: coordination)
    }
    let instant = Instant(milliseconds: try await state.store.lastInstant(machine: Self.machineName))
    let machine = Coordinator(id: .central, configuration: coordination, restoring: records, at: instant)
    let clock = MachineClock(resuming: instant)
    let shell = Shell(machine, name: Self.machineName, store: state.store, clock: clock, logger: logger)
    let link = BrokerLink(
      configuration.broker, topic: .coordinatorState(.central), filters: Topic.coordinatorFilters(.central), logger: logger
    ) { session, offline in
      encode(
        CoordinatorState(
          coordinator: .central, online: offline == nil, session: session, data: configuration.data.advertise,
          ops: configuration.ops.advertise, version: Muster.version, reason: offline))
    }
    let topics = CoordinatorTopics(
      coordinator: .central, link: link, meter: TrafficMeter(folder: configuration.state, logger: logger),
      times: try await PresenceTimes(store: state.store, logger: logger))
    let work = CentralWork(
      state: state, trainers: configuration.trainers, testData: configuration.testData, rules: configuration.rules, logger: logger)
    let performer = CentralPerformer(
      topics: topics, work: work, feed: EventFeed(store: state.store, shell: shell, logger: logger), state: state)
    let central = Central(
      configuration: configuration, shell: shell, performer: performer, state: state, link: link, work: work,
      client: try HTTPClient(logger: logger), logger: logger)
    if !records.isEmpty {
      logger.info("continuing from the journal", metadata: ["records": "\(records.count)", "tasks": "\(machine.tasks.count)"])
    }

    let ready = ListenersReady(count: 2)
    let log = RefusalLog()
    let data = listener(
      dataRouter(central, log), host: configuration.data.host, port: configuration.data.port, name: "data", limits: configuration.limits,
      log: log, logger: logger
    ) { _ in ready.running() }
    let ops = listener(
      opsRouter(central), host: configuration.ops.host, port: configuration.ops.port, name: "ops", logger: logger
    ) { _ in ready.running() }
    for warning in [configuration.data.warning("data"), configuration.ops.warning("ops")].compactMap({ $0 }) {
      logger.warning("\(warning)")
    }
    // Long work that is owed starts without a broker, too.
    await shell.mailbox.post(.connected)
    await shell.mailbox.post(.disconnected)
    try await runServices(
      [
        BackgroundService { await shell.run(performing: performer) },
        BackgroundService {
          await work.run(reportingTo: shell.mailbox) { key in await shell.read { key.isWanted(by: $0) } }
        },
        data, ops,
        BackgroundService {
          try await ready.wait()
          logger.info(
            "muster-central is ready",
            metadata: ["data": "\(configuration.data.advertise)", "ops": "\(configuration.ops.advertise)", "version": "\(Muster.version)"])
          try await link.run(
            connected: { await shell.mailbox.post(.connected) }, disconnected: { await shell.mailbox.post(.disconnected) },
            receive: { topic, message in
              if let event = topics.event(topic, message) { await shell.mailbox.post(event) }
              if let (task, found) = topics.descriptor(topic, message) {
                await shell.read { performer.repair(task, found, owed: $0) }
              }
            })
        },
        BackgroundService { try await central.feed.run() },
        BackgroundService { try await central.feed.keepAlive() },
        trafficKeeper(topics.meter) { await shell.machine },
        presenceKeeper(topics.times) { await shell.machine },
        sweeper { await work.sweep(await shell.machine.referencedBlobs) },
      ], logger: logger)
  }

  private static func dataRouter(_ central: Central, _ log: RefusalLog) -> Router<RouteContext> {
    let router = makeRouter(limits: central.configuration.limits, log: log)
    router.add(middleware: TrafficMiddleware(central.performer.meter))
    ContributionRoutes(ledger: central.ledger, source: central, state: central.state, limits: central.configuration.limits).add(to: router)
    BlobRoutes(source: central).add(to: router)
    router.get("v1/descriptors") { _, _ in try jsonResponse(await central.descriptors()) }
    router.get("v1/regions/:region/forgotten") { _, context in
      try jsonResponse(central.wishes.devices(of: try context.identifier("region")))
    }
    router.get("healthz") { _, _ in textResponse("ok\n") }
    return router
  }

  private static func opsRouter(_ central: Central) -> Router<RouteContext> {
    let router = makeRouter()
    router.add(middleware: SiteMiddleware(hosts: central.configuration.ops.names))
    OperationsRoutes(central: central).add(to: router)
    BlobRoutes(source: central, state: central.state).add(to: router)
    return router
  }
}

/// State messages are small and plain: that one does not fit cannot happen with a checked configuration.
private func encode(_ state: CoordinatorState) -> [UInt8] {
  do {
    return try MessageCoder.encode(state)
  } catch {
    preconditionFailure("the coordinator's state does not fit its topic: \(error)")
  }
}
