package import MusterIdentity
package import MusterSchema

/// What central knows about an enrolment token. The secret is not part of it.
package struct TokenRecord: Codable, Hashable, Sendable {
  /// The region that devices with the token join.
  package enum RegionRule: Hashable, Sendable {
    /// The region with the fewest devices.
    case leastLoaded
    case fixed(NodeID)

    /// The one region that it names.
    package var region: NodeID? {
      guard case .fixed(let region) = self else { return nil }
      return region
    }
  }

  package var id: TokenID
  /// SHA-256 of the secret.
  package var key: Digest
  package var nodeKind: NodeState.Kind
  /// Of a token for devices.
  package var region: RegionRule
  /// The only id that the token gives. A token for a region always has one.
  package var node: NodeID?
  /// Labels that devices with the token get.
  package var labels: [String: String]
  /// Of a token for a region.
  package var server: ServerPlace?
  /// Every enrolment waits until an operator accepts it.
  package var needsApproval: Bool
  package var usesLeft: Int
  package var expires: WallTime
  package var created: WallTime
  /// When an operator withdrew the token.
  package var revoked: WallTime?

  package init(
    id: TokenID, key: TokenKey, nodeKind: NodeState.Kind, region: RegionRule = .leastLoaded, node: NodeID? = nil,
    labels: [String: String] = [:], server: ServerPlace? = nil, needsApproval: Bool = false, uses: Int, expires: WallTime, created: WallTime
  ) {
    self.id = id
    self.key = key.digest
    self.nodeKind = nodeKind
    self.region = region
    self.node = node
    self.labels = labels
    self.server = server
    self.needsApproval = needsApproval
    usesLeft = uses
    self.expires = expires
    self.created = created
  }
}

extension TokenRecord.RegionRule: Codable {
  /// Not an id, so that it cannot be mistaken for a region.
  private static let leastLoadedText = "*"

  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    self = try container.decode(String.self) == Self.leastLoadedText ? .leastLoaded : .fixed(try container.decode(NodeID.self))
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .leastLoaded: try container.encode(Self.leastLoadedText)
    case .fixed(let region): try container.encode(region)
    }
  }
}
