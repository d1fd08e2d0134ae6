/// What central says about one member: its id, its place in the fleet, and the addresses that it may use. A member gets it when it enrols,
/// and again when something in it changes.
package struct MemberStatement: Message {
  package static var kind: String { "member" }

  package var node: NodeID
  package var nodeKind: NodeState.Kind
  /// The region that a device belongs to; `nil` for a region.
  package var region: NodeID?
  /// The SHA-256 of the member's public key, as a DER-encoded SubjectPublicKeyInfo.
  package var key: Digest
  /// The broker at which the member announces itself: `mqtts://host:port`.
  package var broker: String
  /// Central's data address.
  package var central: String
  /// The data address of the device's region; `nil` for a region.
  package var data: String?
  /// Increases with every change of the statement.
  package var revision: Int
  package var generation: Int

  package init(
    node: NodeID, nodeKind: NodeState.Kind, region: NodeID? = nil, key: Digest, broker: String, central: String, data: String? = nil,
    revision: Int, generation: Int
  ) {
    self.node = node
    self.nodeKind = nodeKind
    self.region = region
    self.key = key
    self.broker = broker
    self.central = central
    self.data = data
    self.revision = revision
    self.generation = generation
  }
}

extension MemberStatement: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds.count.require(revision, "revision")
    try Bounds.generation.require(generation, "generation")
  }
}
