import HTTPTypes
import Hummingbird
package import Logging
import MusterCoordination
import MusterDataPlane
import MusterMQTT
import MusterParticipation
import MusterSchema
import MusterServer
import MusterStorage
import MusterTransfer

/// Puts a region together and runs it until it is told to stop.
package enum RegionProgram {
  package static func run(_ configuration: RegionConfiguration, logger: Logger) async throws {
    let id = configuration.id
    let state = try StateFolder(folder: configuration.state, partials: configuration.limits.partials, logger: logger)
    try state.emptyWorkFolder()
    var coordination = CoordinatorConfiguration(data: configuration.data.advertise)
    coordination.storeIsNew = state.store.wasCreatedEmpty
    let records = try await state.store.restore(RegionMachine.Record.self, machine: "region") { [coordination] in
      RegionMachine.summaries(of: $0, id: id, configuration: coordination)
    }
    let instant = Instant(milliseconds: try await state.store.lastInstant(machine: "region"))
    let machine = RegionMachine(id: id, above: .central, configuration: coordination, restoring: records, at: instant)
    let clock = MachineClock(resuming: instant)
    let shell = Shell(machine, name: "region", store: state.store, clock: clock, logger: logger)

    let above = BrokerLink(
      configuration.centralBroker, topic: .nodeState(coordinator: .central, node: id),
      filters: Topic.participantFilters(.central, node: id), logger: logger
    ) { session, offline in
      encode(
        NodeState(
          node: id, online: offline == nil, session: session, nodeKind: .region, data: offline == nil ? configuration.data.advertise : nil,
          reason: offline))
    }
    let below = BrokerLink(
      configuration.broker, topic: .coordinatorState(id), filters: Topic.coordinatorFilters(id), logger: logger
    ) { session, offline in
      encode(
        CoordinatorState(
          coordinator: id, online: offline == nil, session: session, data: configuration.data.advertise, ops: configuration.ops.advertise,
          version: Muster.version, reason: offline))
    }
    let topics = CoordinatorTopics(
      coordinator: id, link: below, meter: TrafficMeter(folder: configuration.state, logger: logger),
      times: try await PresenceTimes(store: state.store, logger: logger))
    let performer = RegionPerformer(
      id: id, above: above, topics: topics, storeIsNew: state.store.wasCreatedEmpty, logger: logger)
    let client = try HTTPClient(HTTPConfiguration(stallSeconds: configuration.stallSeconds), logger: logger)
    let models = BlobCache(state: state, client: client) { await shell.machine.participant.coordinatorState?.data }
    let region = Region(
      configuration: configuration, shell: shell, performer: performer, state: state, above: above, topics: topics, client: client,
      models: models, logger: logger)
    if !records.isEmpty { logger.info("continuing from the journal", metadata: ["records": "\(records.count)"]) }

    // Both links wait for them.
    let (readyAbove, readyBelow) = (ListenersReady(count: 2), ListenersReady(count: 2))
    let running: @Sendable (Int) async -> Void = { _ in
      readyAbove.running()
      readyBelow.running()
    }
    let log = RefusalLog()
    let data = listener(
      dataRouter(region, log), host: configuration.data.host, port: configuration.data.port, name: "data", limits: configuration.limits,
      log: log, logger: logger, onRunning: running)
    let ops = listener(
      opsRouter(region), host: configuration.ops.host, port: configuration.ops.port, name: "ops", logger: logger, onRunning: running)
    for warning in [configuration.data.warning("data"), configuration.ops.warning("ops")].compactMap({ $0 }) {
      logger.warning("\(warning)")
    }
    // Long work that is owed starts without a broker, too.
    await shell.mailbox.post(.below(.connected))
    await shell.mailbox.post(.below(.disconnected))
    try await runServices(
      [
        BackgroundService { await shell.run(performing: performer) },
        BackgroundService { await performer.questions.run { await region.ask($0) } },
        BackgroundService { await performer.listings.run { await region.list($0) } },
        BackgroundService { await performer.collections.run { await region.collect($0) } },
        BackgroundService { await region.fetches.run { await region.fetch($0) } },
        BackgroundService { await performer.orders.runAttempts { await region.combine($0) } },
        BackgroundService { await performer.deliveries.run { await region.deliver($0) } },
        data, ops,
        BackgroundService {
          try await readyAbove.wait()
          logger.info(
            "muster-region is ready",
            metadata: [
              "node.id": "\(id)", "data": "\(configuration.data.advertise)", "ops": "\(configuration.ops.advertise)",
              "version": "\(Muster.version)",
            ])
          try await above.run(
            connected: { await shell.mailbox.post(.above(.connected)) }, disconnected: {}, receive: { await region.heardAbove($0, $1) })
        },
        BackgroundService {
          try await readyBelow.wait()
          try await below.run(
            connected: { await shell.mailbox.post(.below(.connected)) }, disconnected: { await shell.mailbox.post(.below(.disconnected)) },
            receive: { await region.heardBelow($0, $1) })
        },
        trafficKeeper(topics.meter) { await shell.machine.coordinator },
        presenceKeeper(topics.times) { await shell.machine.coordinator },
        sweeper { await region.sweep() },
      ], logger: logger)
  }

  private static func dataRouter(_ region: Region, _ log: RefusalLog) -> Router<RouteContext> {
    let router = makeRouter(limits: region.configuration.limits, log: log)
    router.add(middleware: TrafficMiddleware(region.topics.meter))
    BlobRoutes(source: region.models).add(to: router)
    ContributionRoutes(ledger: region.ledger, source: region.models, state: region.state, limits: region.configuration.limits).add(
      to: router)
    router.get("v1/nodes") { _, _ in try jsonResponse(await region.nodes()) }
    router.get("v1/tasks/:task") { request, context in
      try jsonResponse(await region.task(try context.identifier("task"), try RoundWindow(request)))
    }
    router.get("v1/descriptors") { _, _ in try jsonResponse(await region.shell.machine.coordinator.descriptors) }
    router.get("healthz") { _, _ in textResponse("ok\n") }
    return router
  }

  private static func opsRouter(_ region: Region) -> Router<RouteContext> {
    let router = makeRouter()
    router.add(middleware: SiteMiddleware(hosts: region.configuration.ops.names))
    router.get("healthz") { _, _ in textResponse("ok\n") }
    router.get("readyz") { _, _ in
      let isReady = region.above.isConnected && region.topics.link.isConnected
      let summary = "central's broker: \(region.above.summary)\ndevices' broker: \(region.topics.link.summary)\n"
      return textResponse(summary, status: isReady ? .ok : .serviceUnavailable)
    }
    router.get("v1/info") { _, _ in try jsonResponse(region.info()) }
    router.get("v1/nodes") { _, _ in try jsonResponse(await region.nodes()) }
    router.get("v1/tasks/:task") { request, context in
      try jsonResponse(await region.task(try context.identifier("task"), try RoundWindow(request)))
    }
    HistoryRoutes(store: region.state.store) { Problem(.unknownTask, "region \(region.id) has no task \($0)") }.add(to: router)
    router.put("v1/tasks/:task") { request, context in
      let answer = try await region.push(
        try context.identifier("task", as: TaskID.self), try await request.bytes(context: context, upTo: 256 << 10))
      return Response(
        status: .init(code: answer.status), headers: [.contentType: "application/json"], body: .init(byteBuffer: .init(bytes: answer.body)))
    }
    return router
  }
}

private func encode(_ state: some Message) -> [UInt8] {
  do {
    return try MessageCoder.encode(state)
  } catch {
    preconditionFailure("the region's state does not fit its topic: \(error)")
  }
}
