package import MusterCoordination
package import MusterMQTT
package import MusterSchema
package import MusterShell

/// The topics under a coordinator's own id: publishes on them, and decodes the messages of its nodes.
package final class CoordinatorTopics: Sendable {
  private let coordinator: NodeID
  package let link: BrokerLink
  package let meter: TrafficMeter
  package let times: PresenceTimes
  private let isMember: @Sendable (NodeID) -> Bool

  /// - Parameter isMember: whether a node may take part. Messages of other nodes are ignored.
  package init(
    coordinator: NodeID, link: BrokerLink, meter: TrafficMeter, times: PresenceTimes, isMember: @escaping @Sendable (NodeID) -> Bool
  ) {
    self.coordinator = coordinator
    self.link = link
    self.meter = meter
    self.times = times
    self.isMember = isMember
  }

  package func publish(_ publication: Publication) {
    if case .invitation(let invitation) = publication.content { meter.handsOut(invitation.base.digest, for: invitation.task) }
    link.publish(publication)
  }

  /// Logs that nodes were forgotten, at the limited rate of dropped messages.
  package func noteEviction(_ count: Int, of most: Int) {
    link.drops.note(
      "\(count) nodes were forgotten, because at most \(most) are remembered; check whether a program publishes under ever new ids",
      topic: nil)
  }

  /// The machine's event for a message; `nil` if the message does not concern the machine.
  package func event(_ topic: Topic, _ message: MQTTMessage) -> Coordinator.Event? {
    do {
      switch topic {
      case .nodeState(coordinator, let node) where !message.payload.isEmpty:
        let state = try MessageCoder.decode(NodeState.self, from: message.payload)
        guard state.node == node else { return foreign(topic, state.node) }
        guard isMember(node) else { return stranger(topic, node) }
        times.note(state)
        return .node(state, retained: message.retained)
      case .nodeStatus(coordinator, let node, let task) where !message.payload.isEmpty:
        let status = try MessageCoder.decode(NodeStatus.self, from: message.payload)
        guard isMember(node) else { return stranger(topic, node) }
        return status.node == node && status.task == task ? .status(status, retained: message.retained) : foreign(topic, status.node)
      default: return nil
      }
    } catch {
      link.drops.note("\(error)", topic: "\(topic)")
      return nil
    }
  }

  private func foreign(_ topic: Topic, _ node: NodeID) -> Coordinator.Event? {
    link.drops.note("it names the node \(node), to which this topic does not belong", topic: "\(topic)")
    return nil
  }

  private func stranger(_ topic: Topic, _ node: NodeID) -> Coordinator.Event? {
    link.drops.note("\(node) is not a member of \(coordinator)", topic: "\(topic)")
    return nil
  }

  /// Decodes a message on a task's own topic; `nil` for any other topic.
  package func descriptor(_ topic: Topic, _ message: MQTTMessage) -> (task: TaskID, found: FoundDescriptor)? {
    guard case .task(coordinator, let task) = topic else { return nil }
    guard !message.payload.isEmpty else { return (task, FoundDescriptor(.nothing, retained: message.retained)) }
    do {
      let descriptor = try MessageCoder.decode(TaskDescriptor.self, from: message.payload)
      return (task, FoundDescriptor(.descriptor(descriptor), retained: message.retained))
    } catch {
      return (task, FoundDescriptor(.unreadable, retained: message.retained))
    }
  }
}
