package import MusterSchema

/// A message that a server wants to publish: its topic and content, whether it is retained, and whether it is delivered at least once.
package struct Publication: Hashable, Sendable {
  package enum Content: Hashable, Sendable {
    case descriptor(TaskDescriptor)
    case invitation(Invitation)
    case round(RoundState)
    case status(NodeStatus)
    /// An empty payload: the broker removes the message that it retained.
    case nothing
  }

  package let topic: Topic
  package let content: Content
  package let isRetained: Bool
  /// Delivered at least once (quality of service 1), otherwise at most once (0).
  package let isLasting: Bool

  private init(_ topic: Topic, _ content: Content, retained: Bool = true, lasting: Bool = true) {
    self.topic = topic
    self.content = content
    isRetained = retained
    isLasting = lasting
  }

  static func descriptor(_ descriptor: TaskDescriptor, of coordinator: NodeID) -> Publication {
    Publication(.task(coordinator: coordinator, task: descriptor.task), .descriptor(descriptor))
  }

  /// Not retained: a node that was away is invited again.
  static func invitation(_ invitation: Invitation, to node: NodeID, of coordinator: NodeID) -> Publication {
    Publication(.invitation(coordinator: coordinator, node: node, task: invitation.task), .invitation(invitation), retained: false)
  }

  static func round(_ state: RoundState, of coordinator: NodeID) -> Publication {
    Publication(.round(coordinator: coordinator, task: state.task), .round(state), lasting: false)
  }

  static func status(_ status: NodeStatus, to coordinator: NodeID, lasting: Bool) -> Publication {
    Publication(.nodeStatus(coordinator: coordinator, node: status.node, task: status.task), .status(status), lasting: lasting)
  }

  static func clearing(_ topic: Topic) -> Publication { Publication(topic, .nothing) }
}
