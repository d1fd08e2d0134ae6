package import MusterCoordination
package import MusterParticipation
package import MusterSchema

/// Translates the effects of a region's machine into commands for its driver: messages below, statuses above, questions, and long work.
package struct RegionDesk: Desk {
  package typealias Command = DeskCommand<RegionWorkItem, Own>

  package enum Own: Sendable {
    /// Publish on the broker of the coordinator above.
    case publishAbove(Publication)
    /// Publish the region's own state above again.
    case announce
    case ask(Question)
    case deliver(Delivery)
    /// To be logged: the order from above has no grant, so devices cannot be admitted.
    case lacksGrant(TaskID)
  }

  private let id: NodeID
  private let above: NodeID
  package let faults: PlantedFaults
  private var topics: OwnTopics
  private var statuses = Pace<NodeStatus>()
  /// Whether the store was empty at the start and the coordinator above has not listed its tasks yet.
  private var storeIsNew: Bool
  private var hasLeftAlone = false

  package init(_ id: NodeID, above: NodeID, storeIsNew: Bool, faults: PlantedFaults = []) {
    self.id = id
    self.above = above
    self.storeIsNew = storeIsNew
    self.faults = faults
    topics = OwnTopics(id, faults: faults)
  }

  package mutating func command(for effect: RegionMachine.Effect, of machine: RegionMachine) -> Command? {
    switch effect {
    case .status(let status, let lasting):
      statuses.put(status, on: status.task, urgent: lasting)
      return nil
    case .announce: return .own(.announce)
    case .ask(let job): return .own(.ask(.isWanted(job.task, job.key, upload: job.invitation.upload)))
    case .upload(let job): return .own(.deliver(Delivery(job)))
    case .below(.collect): return .collect(machine.referencedBlobs)
    case .below(let effect): return command(for: effect, of: machine.coordinator)
    }
  }

  private mutating func command(for effect: Coordinator.Effect, of machine: Coordinator) -> Command? {
    switch effect {
    case .publish(let descriptor): return .publish(topics.descriptor(descriptor))
    case .invite(let node, let invitation):
      // Without an order there is nothing to do: it has ended, or its task was forgotten, in the same batch.
      guard let order = machine.tasks[invitation.task]?.order else { return nil }
      guard let grant = order.grant else { return .own(.lacksGrant(invitation.task)) }
      return .publish(topics.invitation(invitation, to: node, grant: grant, isScout: false))
    case .clear(let topic): return topics.clearing(topic).map(Command.publish)
    case .roundChanged(let task):
      topics.changed(task, of: machine)
      return nil
    case .consult(let task):
      return machine.tasks[task]?.order.map { .own(.ask(.whatCounts(task, $0.key, upload: $0.upload))) }
    case .aggregate(let task, _):
      return RegionWorkItem(task, machine, faults: faults).map { .work($0.key.planted(faults), $0) }
    case .answer(let reply, let answer): return .answer(reply, answer)
    case .evicted(let count, let most): return .evicted(count, of: most)
    // Effects that only the root has, and those that the region's machine handles itself.
    case .initialize, .evaluate, .standingChanged, .deliver, .giveUp, .collect: return nil
    }
  }

  package var next: Instant? { [topics.next, statuses.next].compactMap { $0 }.min() }

  package mutating func due(of machine: RegionMachine, at now: Instant) -> [Command] {
    statuses.take(at: now).map { .own(.publishAbove(.status($0.word, to: above, lasting: $0.isUrgent))) }
      + topics.due(of: machine.coordinator, at: now).map(Command.publish)
  }

  // MARK: - Retained messages

  /// The desk remembers whether it left something alone.
  package mutating func repair(_ found: FoundDescriptor, of task: TaskID, owed machine: RegionMachine) -> [Publication] {
    switch topics.repair(found, of: task, owed: machine.coordinator, storeIsNew: storeIsNew) {
    case .publish(let publications): return publications
    case .leaveAlone:
      hasLeftAlone = true
      return []
    }
  }

  /// Whether to ask which tasks exist, now that the coordinator above has appeared or something about it has changed. Retained topics do
  /// not prove which tasks exist: only the coordinator's own list does.
  ///
  /// - Returns: the data address to ask at; `nil` if the question is not to be asked.
  package func listing(from state: CoordinatorState) -> String? {
    state.online && !faults.contains(.neverAsksForTheList) ? state.data : nil
  }

  /// The coordinator above has listed its tasks, so the region now knows enough to judge the messages that are retained on its topics.
  ///
  /// - Returns: whether to read the region's own topics again, because something was left alone.
  package mutating func knowsTheTasks() -> Bool {
    defer { storeIsNew = false }
    return storeIsNew && hasLeftAlone
  }
}
