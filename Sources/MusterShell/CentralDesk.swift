package import MusterCoordination
package import MusterParticipation
package import MusterSchema

/// Translates the effects of central's machine into commands for its driver.
package struct CentralDesk: Desk {
  package typealias Command = DeskCommand<CentralWorkItem, Never>

  private let secret: [UInt8]
  package let faults: PlantedFaults
  private var topics: OwnTopics

  /// - Parameter secret: central's key, from which grants and tickets derive.
  package init(secret: [UInt8], faults: PlantedFaults = []) {
    self.secret = secret
    self.faults = faults
    topics = OwnTopics(.central, faults: faults)
  }

  package mutating func command(for effect: Coordinator.Effect, of machine: Coordinator) -> Command? {
    switch effect {
    case .publish(let descriptor): return .publish(topics.descriptor(descriptor))
    case .invite(let node, let invitation):
      let grant = Grant(secret: secret, task: invitation.task)
      return .publish(topics.invitation(invitation, to: node, grant: grant, isScout: true))
    case .clear(let topic): return topics.clearing(topic).map(Command.publish)
    case .roundChanged(let task):
      topics.changed(task, of: machine)
      return nil
    case .initialize(let task): return work(.initialize, task, 0, machine)
    case .aggregate(let task, let round): return work(.aggregate, task, round, machine)
    case .evaluate(let task, let round): return work(.evaluate, task, round, machine)
    case .answer(let reply, let answer): return .answer(reply, answer)
    case .collect: return .collect(machine.referencedBlobs)
    case .evicted(let count, let most): return .evicted(count, of: most)
    // Only regions have these effects.
    case .standingChanged, .consult, .deliver, .giveUp: return nil
    }
  }

  package var next: Instant? { topics.next }

  package mutating func due(of machine: Coordinator, at now: Instant) -> [Command] { topics.due(of: machine, at: now).map(Command.publish) }

  package func repair(_ found: FoundDescriptor, of task: TaskID, owed machine: Coordinator) -> [Publication] {
    let repair = topics.repair(found, of: task, owed: machine, storeIsNew: machine.configuration.storeIsNew)
    return if case .publish(let publications) = repair { publications } else { [] }
  }

  private func work(_ kind: Coordinator.Work, _ task: TaskID, _ round: Int, _ machine: Coordinator) -> Command? {
    CentralWorkItem(kind, task, round, machine, faults: faults).map { .work($0.key.planted(faults), $0) }
  }
}
