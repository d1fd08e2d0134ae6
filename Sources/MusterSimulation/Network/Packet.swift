internal import MusterSchema

/// A topic as a number: quick to compare and to look up, with an order that is the same in every process.
struct TopicKey: Hashable, Comparable {
  enum Kind: UInt64 { case coordinatorState, task, round, nodeState, nodeStatus, invitation }

  let bits: UInt64

  init(_ kind: Kind, coordinator: Int, node: Int = 0, task: Int = 0) {
    bits = kind.rawValue << 48 | UInt64(coordinator) << 32 | UInt64(node) << 16 | UInt64(task)
  }

  var kind: Kind { Kind(rawValue: bits >> 48) ?? .round }
  var coordinator: Int { Int(bits >> 32 & 0xffff) }
  var node: Int { Int(bits >> 16 & 0xffff) }
  var task: Int { Int(bits & 0xffff) }

  static func < (left: TopicKey, right: TopicKey) -> Bool { left.bits < right.bits }
}

/// The nodes and tasks of a world, by number.
struct Directory {
  private(set) var nodes: [NodeID] = []
  private(set) var tasks: [TaskID] = []
  private var nodeNumbers: [NodeID: Int] = [:]
  private var taskNumbers: [TaskID: Int] = [:]

  mutating func number(_ node: NodeID) -> Int {
    if let known = nodeNumbers[node] { return known }
    nodes.append(node)
    nodeNumbers[node] = nodes.count - 1
    return nodes.count - 1
  }

  mutating func number(_ task: TaskID) -> Int {
    if let known = taskNumbers[task] { return known }
    tasks.append(task)
    taskNumbers[task] = tasks.count - 1
    return tasks.count - 1
  }

  mutating func key(_ topic: Topic) -> TopicKey {
    switch topic {
    case .coordinatorState(let coordinator): TopicKey(.coordinatorState, coordinator: number(coordinator))
    case .task(let coordinator, let task): TopicKey(.task, coordinator: number(coordinator), task: number(task))
    case .round(let coordinator, let task): TopicKey(.round, coordinator: number(coordinator), task: number(task))
    case .nodeState(let coordinator, let node): TopicKey(.nodeState, coordinator: number(coordinator), node: number(node))
    case .nodeStatus(let coordinator, let node, let task):
      TopicKey(.nodeStatus, coordinator: number(coordinator), node: number(node), task: number(task))
    case .invitation(let coordinator, let node, let task):
      TopicKey(.invitation, coordinator: number(coordinator), node: number(node), task: number(task))
    }
  }

  func topic(_ key: TopicKey) -> Topic {
    let coordinator = nodes[key.coordinator]
    return switch key.kind {
    case .coordinatorState: .coordinatorState(coordinator)
    case .task: .task(coordinator: coordinator, task: tasks[key.task])
    case .round: .round(coordinator: coordinator, task: tasks[key.task])
    case .nodeState: .nodeState(coordinator: coordinator, node: nodes[key.node])
    case .nodeStatus: .nodeStatus(coordinator: coordinator, node: nodes[key.node], task: tasks[key.task])
    case .invitation: .invitation(coordinator: coordinator, node: nodes[key.node], task: tasks[key.task])
    }
  }
}

/// The content of a message. It is not encoded, because that would cost most of the time; a world that `codes` encodes it as well.
enum Payload: Equatable {
  case coordinator(CoordinatorState)
  case descriptor(TaskDescriptor)
  case round(RoundState)
  case node(NodeState)
  case status(NodeStatus)
  case invitation(Invitation)
  /// No bytes: the topic is cleared.
  case cleared
  /// Bytes that no program understands.
  case garbage

  /// The encoded bytes, and the payload that decoding them gives; `nil` if there is no message to encode.
  func coded() throws -> (bytes: [UInt8], payload: Payload)? {
    switch self {
    case .coordinator(let message): try Self.coded(message, Payload.coordinator)
    case .descriptor(let message): try Self.coded(message, Payload.descriptor)
    case .round(let message): try Self.coded(message, Payload.round)
    case .node(let message): try Self.coded(message, Payload.node)
    case .status(let message): try Self.coded(message, Payload.status)
    case .invitation(let message): try Self.coded(message, Payload.invitation)
    case .cleared, .garbage: nil
    }
  }

  private static func coded<M: Message>(_ message: M, _ payload: (M) -> Payload) throws -> (bytes: [UInt8], payload: Payload) {
    let bytes = try MessageCoder.encode(message)
    return (bytes, payload(try MessageCoder.decode(M.self, from: bytes)))
  }
}

/// A message on its way.
final class Packet {
  let key: TopicKey
  let payload: Payload
  let isRetained: Bool
  /// Whether it is sent with QoS 1.
  let isLasting: Bool

  init(_ key: TopicKey, _ payload: Payload, retained: Bool = true, lasting: Bool = true) {
    self.key = key
    self.payload = payload
    isRetained = retained
    isLasting = lasting
  }
}

extension Trace {
  /// Folds in what distinguishes one message from another.
  mutating func fold(_ packet: Packet) {
    fold(packet.key.bits)
    switch packet.payload {
    case .coordinator(let state):
      fold(state.online ? 1 : 0)
      fold(state.session)
    case .descriptor(let descriptor):
      fold(descriptor.revision)
      fold(descriptor.state.rawValue)
    case .round(let state): fold(state.why)
    case .node(let state):
      fold(state.online ? 1 : 0)
      fold(state.session)
    case .status(let status):
      fold(status.state.rawValue)
      fold((status.round ?? -1) << 16 | (status.attempt ?? 0) << 1 | (status.phase == .evaluate ? 1 : 0))
      fold((status.devices ?? -1) << 40 ^ (status.declined ?? -1) << 20 ^ (status.have ?? -1) << 8 ^ (status.quota ?? -1))
      if let reason = status.reason { fold(reason) }
    case .invitation(let invitation):
      fold(invitation.round << 16 | invitation.attempt << 1 | (invitation.phase == .evaluate ? 1 : 0))
      fold(invitation.quota << 20 | invitation.minimum)
      fold(invitation.seed)
      fold(invitation.secondsLeft)
    case .cleared: fold(1)
    case .garbage: fold(2)
    }
  }
}
