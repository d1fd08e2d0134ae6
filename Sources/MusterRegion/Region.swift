package import Logging
import MusterCoordination
import MusterDataPlane
import MusterEnrolment
import MusterGround
import MusterIdentity
import MusterMQTT
import MusterParticipation
import MusterSchema
import MusterServer
import MusterShell
import MusterStorage
import MusterTransfer

/// A region: the server of its devices, and a participant of central.
package final class Region: Sendable {
  let server: Server<RegionMachine>
  let performer: DeskPerformer<RegionDesk>
  let work: ServerWork<RegionMachine, RegionWorkItem>
  let queues: RegionQueues
  let above: BrokerLink
  let client: HTTPClient
  let models: CentralBlobs
  /// `nil` in a plain fleet.
  let roster: RegionRoster?
  private let central: String?

  /// Opens the state folder and restores the machine. Nothing runs before ``run()``.
  package init(_ configuration: RegionConfiguration, logger: Logger) async throws {
    let roster = try configuration.server.identity.map {
      try RegionRoster($0.folder, region: configuration.server.id, logger: logger)
    }
    self.roster = roster
    central = configuration.identity?.member.central
    let server = try await Server<RegionMachine>(configuration.server, isMember: { roster?.contains($0) ?? true }, logger: logger)
    let id = server.id
    self.server = server
    above = BrokerLink(
      configuration.centralBroker, topic: .nodeState(coordinator: .central, node: id),
      filters: Topic.participantFilters(.central, node: id), logger: logger
    ) { session, offline in
      NodeState(
        node: id, online: offline == nil, session: session, nodeKind: .region,
        data: offline == nil ? configuration.server.data.advertise : nil, reason: offline)
    }
    client = try HTTPClient(
      HTTPConfiguration(
        stallSeconds: configuration.stallSeconds, maximumBody: RegionRoster.maximumBytes,
        tls: configuration.server.identity?.folder.clientTLS),
      logger: logger)
    models = CentralBlobs(state: server.state, client: client) { await server.shell.machine.participant.coordinatorState?.data }
    let regionWork = RegionWork(state: server.state, models: models)
    work = ServerWork(server, trouble: regionWork.trouble, attempt: regionWork.attempt)
    queues = RegionQueues(above: above, logger: logger)
    performer = DeskPerformer(
      RegionDesk(id, above: .central, storeIsNew: server.state.store.wasCreatedEmpty), of: server, work: work,
      links: [above, server.topics.link], carryOut: queues.carryOut)
  }

  /// Runs until the process is told to stop.
  package func run() async throws {
    let shell = shell
    try await server.run(
      performer,
      work: work.services + [
        BackgroundService { await self.queues.questions.run { await self.ask($0) } },
        BackgroundService { await self.queues.listings.run { await self.list($0) } },
        BackgroundService { await self.queues.fetches.run { await self.fetch($0) } },
        BackgroundService { await self.queues.deliveries.run { await self.deliver($0) } },
        BackgroundService { await self.followRoster() },
      ],
      links: [
        ServerLink(
          above, name: "central's broker", connected: { await shell.mailbox.post(.above(.connected)) },
          receive: { await self.heardAbove($0, $1) }),
        server.link(name: "devices' broker", performer),
      ], callers: callers, data: addDataRoutes, ops: addOperationsRoutes)
  }

  /// Identifies the callers of the data listener: the region's own devices, and central.
  var callers: any CallerIdentification {
    guard let roster else { return AnonymousCallers() }
    return MemberCallers(open: ["/healthz"]) { (key) throws(Problem) in try roster.member(key) }
  }

  /// Keeps the roster and the region's own certificate up to date.
  private func followRoster() async {
    guard let roster, let central else { return await Bell().wait() }
    let link = topics.link
    await withTaskGroup { group in
      group.addTask { await CertificateRenewal(roster.identity, central: central, logger: self.logger).run() }
      await roster.follow(central, self.client) { link.renew(after: .milliseconds(100)) }
      group.cancelAll()
    }
  }

  var id: NodeID { server.id }
  var shell: Shell<RegionMachine> { server.shell }
  var state: StateFolder { server.state }
  var topics: CoordinatorTopics { server.topics }
  var logger: Logger { server.logger }

  // MARK: - Topics

  /// Handles a message from central's broker.
  func heardAbove(_ topic: Topic, _ message: MQTTMessage) async {
    guard !message.payload.isEmpty else { return }
    do {
      switch topic {
      case .coordinatorState:
        let state = try MessageCoder.decode(CoordinatorState.self, from: message.payload)
        await shell.mailbox.post(.above(.coordinator(state)))
        list(from: state)
      case .task(_, let task):
        let descriptor = try MessageCoder.decode(TaskDescriptor.self, from: message.payload)
        guard descriptor.task == task, descriptor.regions.contains(id) else { return }
        let participant = await shell.machine.participant
        guard participant.tasks[task] == nil else { return await shell.mailbox.post(.above(.descriptor(descriptor))) }
        // Another central may have left it there. Once the task is known here, the present central is asked whether it has such a task.
        switch await shell.mailbox.submit(.above(.descriptor(descriptor))) {
        case .committed: break
        case .busy: await shell.mailbox.post(.above(.descriptor(descriptor)))
        // The batch is lost. The connection is renewed, so that the topic is read again.
        case .failed: return
        }
        if let central = participant.coordinatorState { list(from: central) }
      case .invitation(_, id, let task):
        let invitation = try MessageCoder.decode(Invitation.self, from: message.payload)
        guard invitation.task == task else { return }
        // The devices will ask for the model next, so it is fetched while they are invited. This is done only for known tasks.
        if await shell.machine.participant.tasks[task] != nil { queues.fetches.add(task, invitation.base.digest, again: true) }
        await shell.mailbox.post(.above(.invitation(invitation)))
      default: break
      }
    } catch {
      above.drops.note("\(error)", topic: "\(topic)")
    }
  }

  // MARK: - Questions to the ledger

  func ask(_ question: Question) async {
    if let event = question.event(for: await answer(question), to: id) { await shell.mailbox.post(event) }
  }

  private func answer(_ question: Question) async -> Question.Answer {
    do throws(TransferError) {
      return .ledger(try await client.get(PhaseLedger.self, from: question.phase))
    } catch {
      if let problem = error.problem, problem.status == 404 || problem.status == 410 { return .none(reason: problem.detail) }
      logger.warning("central's ledger does not answer: \(error)", metadata: ["task.id": "\(question.task)"])
      return .silence
    }
  }

  /// Queues a question to central for its tasks, if its state gives a reason to ask.
  private func list(from state: CoordinatorState) {
    if let data = performer.withDesk({ $0.listing(from: state) }) { queues.listings.add(true, data, again: true) }
  }

  /// Asks central for its tasks until it answers, or announces another address. In that case a newer question is in the queue.
  func list(_ data: String) async {
    var listing = TaskListing(for: await shell.machine)
    while !Task.isCancelled {
      let next: TaskListing.Next
      do {
        let descriptors = try await client.get([TaskDescriptor].self, from: "\(data)/v1/descriptors")
        let events: [RegionMachine.Event]
        (events, next) = listing.answered(descriptors, await shell.machine)
        for event in events { await shell.mailbox.post(event) }
      } catch {
        logger.warning("central does not list its tasks yet: \(error)")
        next = listing.failed()
      }
      guard case .ask(let pause) = next else {
        // Messages on the region's own topics that could not be judged before are read again.
        if performer.withDesk({ $0.knowsTheTasks() }) { topics.link.renew(after: .seconds(1)) }
        return await forgetNodes(data)
      }
      do { try await Task.sleep(for: .seconds(pause)) } catch { return }
      if await shell.machine.participant.coordinatorState?.data != data { return }
    }
  }

  /// Forgets the devices that an operator wants forgotten. Central publishes its birth again if there are any, which leads here.
  private func forgetNodes(_ data: String) async {
    do throws(TransferError) {
      for node in try await client.get([NodeID].self, from: "\(data)/v1/regions/\(id)/forgotten") {
        logger.notice("a device was forgotten on an operator's request", metadata: ["node.id": "\(id)/\(node)"])
        await shell.mailbox.post(.below(.forgetNode(node)))
      }
    } catch {
      // An older central has no such list.
      guard error.status != 404 else { return }
      logger.warning("the list of devices to forget cannot be fetched from central: \(error)")
    }
  }

  /// Fetches a model before the first device asks for it.
  func fetch(_ model: Digest) async {
    do {
      _ = try await models.locate(model)
    } catch {
      // A device that asks for it makes the region try again, and gets the error.
      logger.debug("the model cannot be fetched yet: \(error)", metadata: ["blob": "\(model)"])
    }
  }

  // MARK: - Listeners

  func nodes() async -> [NodeSummary] {
    let machine = await shell.machine.coordinator
    return machine.nodes.values.sorted { $0.node < $1.node }.map { state in
      NodeSummary(
        path: NodePath(id, state.node), state: state, silentSeconds: machine.silence(of: state.node), since: topics.times.since(state),
        tasks: machine.openStatuses(of: state.node))
    }
  }

  /// Passes a task that was pushed to the region on to central, and returns central's answer.
  func push(_ task: TaskID, _ body: [UInt8], contentType: String) async throws(Problem) -> HTTPResponse {
    guard let central = await shell.machine.participant.coordinatorState, central.online, let ops = central.ops else {
      throw Problem(
        .centralUnknown, "the region has not received central's address from its broker yet: push to central, or try again")
    }
    do {
      return try await client.send("PUT", "\(ops)/v1/tasks/\(task)", body: body, contentType: contentType)
    } catch {
      if let problem = error.problem { throw problem }
      throw Problem(.centralUnreachable, "\(error); central's ops address is \(ops)")
    }
  }
}
