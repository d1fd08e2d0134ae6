/// All topics of Muster. They are built and parsed only here.
package enum Topic: Hashable, Sendable {
  case coordinatorState(NodeID)
  case task(coordinator: NodeID, task: TaskID)
  case round(coordinator: NodeID, task: TaskID)
  case nodeState(coordinator: NodeID, node: NodeID)
  case nodeStatus(coordinator: NodeID, node: NodeID, task: TaskID)
  case invitation(coordinator: NodeID, node: NodeID, task: TaskID)

  /// The protocol's major version, the second level of every topic.
  package static let version = 1

  package var coordinator: NodeID {
    switch self {
    case .coordinatorState(let coordinator), .task(let coordinator, _), .round(let coordinator, _), .nodeState(let coordinator, _),
      .nodeStatus(let coordinator, _, _), .invitation(let coordinator, _, _):
      coordinator
    }
  }
}

extension Topic: CustomStringConvertible {
  package var description: String {
    let rest =
      switch self {
      case .coordinatorState: "state"
      case .task(_, let task): "tasks/\(task)"
      case .round(_, let task): "tasks/\(task)/round"
      case .nodeState(_, let node): "nodes/\(node)/state"
      case .nodeStatus(_, let node, let task): "nodes/\(node)/tasks/\(task)"
      case .invitation(_, let node, let task): "nodes/\(node)/invitations/\(task)"
      }
    return "muster/v\(Self.version)/\(coordinator)/\(rest)"
  }
}

/// The reason why a string is not a topic of this protocol version.
package enum TopicError: Error, Hashable, CustomStringConvertible {
  case foreign(String)
  case newerVersion(Int)
  case identifier(IdentifierError)

  package var description: String {
    switch self {
    case .foreign(let topic): "\"\(topic.shown(120))\" is not a topic of Muster"
    case .newerVersion(let version):
      "the topic uses protocol version \(version), but this program supports version \(Topic.version): update this program"
    case .identifier(let error): error.description
    }
  }
}

extension Topic {
  package init(parsing text: String) throws(TopicError) {
    // No topic is longer. Comparing a very long string would take very long.
    guard text.utf8.count <= 512 else { throw .foreign(text) }
    let levels = text.split(separator: "/", maxSplits: 8, omittingEmptySubsequences: false)
    guard levels.count >= 4, levels[0] == "muster", levels[1].first == "v", let version = Int(levels[1].dropFirst()),
      levels[1] == "v\(version)"
    else {
      throw .foreign(text)
    }
    guard version <= Self.version else { throw .newerVersion(version) }
    guard version == Self.version else { throw .foreign(text) }
    do {
      let coordinator = try NodeID(validating: levels[2])
      switch (levels[3], levels.count) {
      case ("state", 4): self = .coordinatorState(coordinator)
      case ("tasks", 5): self = .task(coordinator: coordinator, task: try TaskID(validating: levels[4]))
      case ("tasks", 6) where levels[5] == "round": self = .round(coordinator: coordinator, task: try TaskID(validating: levels[4]))
      case ("nodes", 6) where levels[5] == "state": self = .nodeState(coordinator: coordinator, node: try NodeID(validating: levels[4]))
      case ("nodes", 7) where levels[5] == "tasks":
        self = .nodeStatus(
          coordinator: coordinator, node: try NodeID(validating: levels[4]), task: try TaskID(validating: levels[6]))
      case ("nodes", 7) where levels[5] == "invitations":
        self = .invitation(
          coordinator: coordinator, node: try NodeID(validating: levels[4]), task: try TaskID(validating: levels[6]))
      default: throw TopicError.foreign(text)
      }
    } catch let error as IdentifierError {
      throw .identifier(error)
    } catch {
      throw .foreign(text)
    }
  }

  /// Topic filters of a coordinator: its nodes' states and statuses, the tasks, and its own state, which shows a second one with its id.
  package static func coordinatorFilters(_ coordinator: NodeID) -> [String] {
    let root = "muster/v\(version)/\(coordinator)"
    return ["\(root)/state", "\(root)/nodes/+/state", "\(root)/nodes/+/tasks/+", "\(root)/tasks/+"]
  }

  /// Topic filters of a participant: its coordinator's state, the tasks, its own state and its invitations.
  package static func participantFilters(_ coordinator: NodeID, node: NodeID) -> [String] {
    let root = "muster/v\(version)/\(coordinator)"
    return ["\(root)/state", "\(root)/tasks/+", "\(root)/nodes/\(node)/state", "\(root)/nodes/\(node)/invitations/+"]
  }
}
