/// A node that something waits for, and why.
package struct Waiting: Codable, Hashable, Sendable {
  /// A node's id, or its path below the coordinator that says so.
  package var node: String
  package var reason: String
  /// The kind of reason, where a program acts on it.
  package var code: ErrorCode?
  /// In a round's record: what became of the node's invitation.
  package var fate: Fate?

  package init(node: String, reason: String, code: ErrorCode? = nil, fate: Fate? = nil) {
    self.node = node
    self.reason = reason
    self.code = code
    self.fate = fate
  }
}
