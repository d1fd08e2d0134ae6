/// The id of a node or a coordinator: `north`, `pi-1`, `central`.
package struct NodeID: Identifier {
  package static var noun: String { "node id" }
  package let rawValue: String
  package init(unchecked rawValue: String) { self.rawValue = rawValue }

  /// The root coordinator's id, which no other node may have.
  package static let central = NodeID(unchecked: "central")
}
