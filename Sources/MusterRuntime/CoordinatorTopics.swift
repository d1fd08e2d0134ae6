package import MusterCoordination
package import MusterMQTT
package import MusterSchema
import Synchronization

/// The topics under a coordinator's own id: what it writes there, and what its nodes write.
package final class CoordinatorTopics: Sendable {
  private let coordinator: NodeID
  package let link: BrokerLink
  package let meter: TrafficMeter
  package let times: PresenceTimes
  private let window = Mutex(RoundWindow())

  package init(coordinator: NodeID, link: BrokerLink, meter: TrafficMeter, times: PresenceTimes) {
    self.coordinator = coordinator
    self.link = link
    self.meter = meter
    self.times = times
  }

  package func publish(_ descriptor: TaskDescriptor) { link.publish(.task(coordinator: coordinator, task: descriptor.task), descriptor) }

  /// Adds the ticket, and for a scout the grant that its devices' tickets derive from.
  package func invite(_ node: NodeID, _ invitation: Invitation, grant: Grant, isScout: Bool) {
    let invitation = invitation.admitting(node, by: grant, asScout: isScout)
    meter.handsOut(invitation.base.digest, for: invitation.task)
    link.publish(.invitation(coordinator: coordinator, node: node, task: invitation.task), invitation, retained: false)
  }

  /// Removes a retained message of our own.
  package func clear(_ topic: Topic) {
    guard topic.coordinator == coordinator else { return }
    link.publish(topic, [], retained: true, quality: .atLeastOnce)
  }

  /// Says that nodes were forgotten, as seldom as dropped messages are.
  package func noteEviction(_ count: Int, of most: Int) {
    link.drops.note(
      "\(count) nodes were forgotten, for at most \(most) are remembered: does a program publish under ever new ids?", topic: nil)
  }

  package func roundChanged(_ task: TaskID) { window.withLock { $0.changed(task) } }

  /// Writes the windows that are due.
  package func writeWindows(_ machine: Coordinator) {
    let due = window.withLock { window in
      window.due(at: .now) { task in machine.tasks[task]?.isEnded ?? true }
    }
    for task in due {
      guard let state = machine.roundState(task) else { continue }
      link.publish(.round(coordinator: coordinator, task: task), state, quality: .atMostOnce)
    }
  }

  package var hasPendingWindows: Bool { window.withLock(\.isPending) }

  /// Turns what arrived into the machine's event; nil for what does not concern it.
  package func event(_ topic: Topic, _ message: MQTTMessage) -> Coordinator.Event? {
    do {
      switch topic {
      case .nodeState(coordinator, let node) where !message.payload.isEmpty:
        let state = try MessageCoder.decode(NodeState.self, from: message.payload)
        guard state.node == node else { return foreign(topic, state.node) }
        times.note(state)
        return .node(state, retained: message.retained)
      case .nodeStatus(coordinator, let node, let task) where !message.payload.isEmpty:
        let status = try MessageCoder.decode(NodeStatus.self, from: message.payload)
        return status.node == node && status.task == task ? .status(status, retained: message.retained) : foreign(topic, status.node)
      default: return nil
      }
    } catch {
      link.drops.note("\(error)", topic: "\(topic)")
      return nil
    }
  }

  private func foreign(_ topic: Topic, _ node: NodeID) -> Coordinator.Event? {
    link.drops.note("it speaks for \(node), whose topic this is not", topic: "\(topic)")
    return nil
  }

  /// Looks at what stands on a task's own topic: clears what an earlier life left under our id, unless our own store is new (then we know too little
  /// to judge), and says again what somebody cleared or wrote over.
  ///
  /// - Returns: whether something was left alone because the store is new.
  @discardableResult
  package func reconcile(_ topic: Topic, _ message: MQTTMessage, storeIsNew: Bool, machine: () async -> Coordinator) async -> Bool {
    guard case .task(coordinator, let task) = topic else { return false }
    let machine = await machine()
    guard machine.tasks[task] != nil else {
      guard message.retained, !message.payload.isEmpty else { return false }
      guard !storeIsNew else { return true }
      clear(.task(coordinator: coordinator, task: task))
      clear(.round(coordinator: coordinator, task: task))
      return false
    }
    guard let owed = machine.descriptors.first(where: { $0.task == task }), !isSaid(owed, in: message.payload) else { return false }
    publish(owed)
    return false
  }

  /// Whether a payload is this descriptor, or a later one. (Who forges a later one is a matter of trust; answering it could go on for ever.)
  private func isSaid(_ descriptor: TaskDescriptor, in payload: [UInt8]) -> Bool {
    do {
      let found = try MessageCoder.decode(TaskDescriptor.self, from: payload)
      return found.task == descriptor.task && found.revision >= descriptor.revision
    } catch {
      return false
    }
  }
}
