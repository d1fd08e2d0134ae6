/// The position of a node below the root: `north`, or `north/pi-1`. One to eight levels.
package struct NodePath: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
  package let nodes: [NodeID]

  package init(_ first: NodeID, _ rest: NodeID...) { nodes = [first] + rest }

  /// A path of the given nodes; `nil` for none, or for more than eight.
  package init?(_ nodes: [NodeID]) {
    guard (1...8).contains(nodes.count) else { return nil }
    self.nodes = nodes
  }

  package init(validating text: String) throws(IdentifierError) {
    var nodes: [NodeID] = []
    for part in text.split(separator: "/", maxSplits: 8, omittingEmptySubsequences: false) {
      nodes.append(try NodeID(validating: part))
    }
    guard let path = NodePath(nodes) else { throw IdentifierError(noun: "node path", text: text) }
    self = path
  }

  package func appending(_ node: NodeID) -> NodePath? { NodePath(nodes + [node]) }

  package var description: String { nodes.map(\.rawValue).joined(separator: "/") }
  /// Compares as the strings would.
  package static func < (left: Self, right: Self) -> Bool {
    if let last = left.nodes.last, let other = right.nodes.last, left.nodes.dropLast() == right.nodes.dropLast() { return last < other }
    return left.description < right.description
  }

  package init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    do {
      try self.init(validating: text)
    } catch {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: error.description))
    }
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
