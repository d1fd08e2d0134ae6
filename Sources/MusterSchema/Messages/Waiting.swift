/// A node that a task waits for, or that did not deliver, with the reason.
package struct Waiting: Codable, Hashable, Sendable {
  /// The node's id, or its path below the coordinator that reports it.
  package var node: String
  package var reason: String
  /// The kind of the reason, where a program acts on it.
  package var code: ErrorCode?
  /// In a round's record: the fate of the node's invitation.
  package var fate: Fate?

  package init(node: String, reason: String, code: ErrorCode? = nil, fate: Fate? = nil) {
    self.node = node
    self.reason = reason
    self.code = code
    self.fate = fate
  }
}
