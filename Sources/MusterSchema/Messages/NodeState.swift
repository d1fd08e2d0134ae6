/// `muster/v1/{c}/nodes/{node}/state`: a node's birth (online) or Will (offline), with its capabilities.
package struct NodeState: Message {
  package static var kind: String { "node-state" }

  package enum Kind: String, Codable, Sendable { case device, region }

  package var node: NodeID
  package var online: Bool
  /// Random for each connection. An offline state counts only if its session equals that of the last birth.
  package var session: String
  /// Whether the node is a device or a region. The member is not called `kind` because that names the message.
  package var nodeKind: Kind?
  package var labels: [String: String]?
  package var capabilities: Capabilities?
  package var resources: Resources?
  /// A region's address at which central asks for its devices.
  package var data: String?
  /// The part of a device's policy that others need to know; absent if it is empty.
  package var policy: DevicePolicy?
  /// Why the state is offline: a constant of ``Farewell``. Version 0.1.0 does not send it.
  package var reason: String?

  package init(
    node: NodeID, online: Bool, session: String, nodeKind: Kind? = nil, labels: [String: String]? = nil,
    capabilities: Capabilities? = nil, resources: Resources? = nil, data: String? = nil, policy: DevicePolicy? = nil,
    reason: String? = nil
  ) {
    self.node = node
    self.online = online
    self.session = session
    self.nodeKind = nodeKind
    self.labels = labels
    self.capabilities = capabilities
    self.resources = resources
    self.data = data
    self.policy = policy
    self.reason = reason
  }
}

/// Reasons of offline messages, for people. Programs act on `online` alone.
package enum Farewell {
  /// Published by the program itself when it stopped in order.
  package static let stopped = "stopped"
  /// Published by the broker as the Will: the connection broke, or the program or its machine died.
  package static let lost = "connection lost"
}
