/// A node that something waits for, and why.
public struct Waiting: Codable, Hashable, Sendable {
  /// A node's id, or its path below the coordinator that says so.
  public var node: String
  public var reason: String
  /// The kind of reason, where a program acts on it.
  public var code: ErrorCode?
  /// In a round's record: what became of the node's invitation.
  public var fate: Fate?

  public init(node: String, reason: String, code: ErrorCode? = nil, fate: Fate? = nil) {
    self.node = node
    self.reason = reason
    self.code = code
    self.fate = fate
  }
}
