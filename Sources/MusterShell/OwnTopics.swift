import MusterCoordination
import MusterParticipation
package import MusterSchema

/// The messages that a coordinator publishes on the topics under its own id.
struct OwnTopics: Sendable {
  private let id: NodeID
  private let faults: PlantedFaults
  /// Tasks whose `RoundState` has changed.
  private var rounds = Pace<Void>()

  init(_ id: NodeID, faults: PlantedFaults) {
    self.id = id
    self.faults = faults
  }

  func descriptor(_ descriptor: TaskDescriptor) -> Publication { .descriptor(descriptor, of: id) }

  /// An invitation with the ticket of the node that it goes to.
  ///
  /// - Parameters:
  ///   - grant: the grant from which the node's ticket derives.
  ///   - isScout: whether the node invites devices of its own, and gets a grant for them.
  func invitation(_ invitation: Invitation, to node: NodeID, grant: Grant, isScout: Bool) -> Publication {
    .invitation(invitation.admitting(node, by: grant, asScout: isScout), to: node, of: id)
  }

  /// - Returns: `nil` for a topic of another coordinator, which is not ours to clear.
  func clearing(_ topic: Topic) -> Publication? { topic.coordinator == id ? .clearing(topic) : nil }

  /// Notes that the `RoundState` of a task has changed. The end of a task is not held back.
  mutating func changed(_ task: TaskID, of machine: Coordinator) {
    rounds.put((), on: task, urgent: machine.tasks[task]?.isEnded ?? true)
  }

  var next: Instant? { rounds.next }

  /// The `RoundState` messages that are due. A task that was forgotten meanwhile has none.
  mutating func due(of machine: Coordinator, at now: Instant) -> [Publication] {
    rounds.take(at: now).compactMap { machine.roundState($0.task).map { .round($0, of: id) } }
  }

  /// Compares a task's retained descriptor with the one that the coordinator owes on that topic.
  ///
  /// - A task that the coordinator does not have: its topics are cleared, because an earlier coordinator with the same id left messages
  ///   there. With a new store they are left alone: the tasks may belong to a database that was moved away.
  /// - A descriptor that is missing, unreadable or of an earlier revision: it is published again.
  /// - A descriptor of the same or a later revision: nothing is done. If another coordinator with the same id wrote it, the two would
  ///   answer each other's messages forever.
  func repair(_ found: FoundDescriptor, of task: TaskID, owed machine: Coordinator, storeIsNew: Bool) -> TopicRepair {
    guard !faults.contains(.neverReconciles) else { return .publish([]) }
    guard machine.tasks[task] != nil else {
      guard found.isRetained, found.content != .nothing else { return .publish([]) }
      guard !storeIsNew else { return .leaveAlone }
      return .publish([.clearing(.task(coordinator: id, task: task)), .clearing(.round(coordinator: id, task: task))])
    }
    guard let owed = machine.descriptor(of: task), !found.isUpToDate(owed) else { return .publish([]) }
    return .publish([descriptor(owed)])
  }
}

/// The message that was received on a task's own topic.
package struct FoundDescriptor: Hashable, Sendable {
  package enum Content: Hashable, Sendable {
    case descriptor(TaskDescriptor)
    case unreadable
    case nothing
  }

  package let content: Content
  /// Whether the broker had retained it before the subscription.
  package let isRetained: Bool

  package init(_ content: Content, retained: Bool) {
    self.content = content
    isRetained = retained
  }

  /// Whether it is this descriptor, or a later revision of it.
  fileprivate func isUpToDate(_ owed: TaskDescriptor) -> Bool {
    guard case .descriptor(let found) = content else { return false }
    return found.task == owed.task && found.revision >= owed.revision
  }
}

/// How to correct the messages that are retained on a task's own topics.
enum TopicRepair: Hashable, Sendable {
  case publish([Publication])
  /// Leave them alone: the store is too new to tell whether they are wrong.
  case leaveAlone
}
