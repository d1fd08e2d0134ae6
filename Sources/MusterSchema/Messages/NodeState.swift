/// `muster/v1/{c}/nodes/{node}/state`: a node's birth (online) and Will (offline), and what it can do.
package struct NodeState: Message {
  package static var kind: String { "node-state" }

  package enum Kind: String, Codable, Sendable { case device, region }

  package var node: NodeID
  package var online: Bool
  /// Drawn anew for each connection. An offline counts only if its session equals the last birth's.
  package var session: String
  /// `device` or `region`. (The member is called `node-kind` on the wire, since `kind` names the message.)
  package var nodeKind: Kind?
  package var labels: [String: String]?
  package var capabilities: Capabilities?
  package var resources: Resources?
  /// A region's data plane, where central asks for its devices.
  package var data: String?
  /// A device's policy as far as it concerns others. Absent when there is nothing to say.
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

/// Reasons of offline messages. For people: programs act on `online` alone.
package enum Farewell {
  /// The program stopped in an orderly way and published this itself.
  package static let stopped = "stopped"
  /// Published by the broker as the Will: the connection broke, or the program or its machine died.
  package static let lost = "connection lost"
}
