/// The devices of one region, as central gives them to it: `GET /v1/regions/{region}/roster`.
package struct Roster: Codable, Hashable, Sendable {
  package struct Device: Codable, Hashable, Sendable {
    package var node: NodeID
    /// The fingerprint of its key.
    package var key: Digest
    /// Labels that an operator set.
    package var labels: [String: String]

    package init(node: NodeID, key: Digest, labels: [String: String]) {
      self.node = node
      self.key = key
      self.labels = labels
    }
  }

  package var region: NodeID
  package var generation: Int
  /// Increases with every change. A region never goes back to a lower pair of generation and revision.
  package var revision: Int
  /// The fingerprint of the key with which central calls.
  package var central: Digest
  /// In the order of their ids.
  package var devices: [Device]
  /// The list of revoked certificates in PEM, for the region's broker.
  package var revocations: String

  package init(region: NodeID, generation: Int, revision: Int, central: Digest, devices: [Device], revocations: String) {
    self.region = region
    self.generation = generation
    self.revision = revision
    self.central = central
    self.devices = devices
    self.revocations = revocations
  }

  /// The value of `ETag`, and of `If-None-Match` in the next request.
  package var tag: String { "\"\(generation).\(revision)\"" }

  package func isNewer(than other: Roster) -> Bool { (generation, revision) > (other.generation, other.revision) }
}

extension Roster: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds.generation.require(generation, "generation")
    try Bounds.count.require(revision, "revision")
  }
}
