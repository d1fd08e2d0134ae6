/// Where clients reach the broker and the data listener of a server, and the names in its certificate.
package struct ServerPlace: Codable, Hashable, Sendable {
  /// Names and addresses of the machine. They are in the certificate of its broker and its listeners.
  package var names: [String]
  /// The broker of the server's nodes: `mqtts://host:port`.
  package var broker: String
  /// The data address: `https://host:port`.
  package var data: String

  package init(names: [String], broker: String, data: String) {
    self.names = names
    self.broker = broker
    self.data = data
  }
}

/// The body of `POST /v1/tokens`: makes an enrolment token.
package struct TokenRequest: Codable, Hashable, Sendable {
  package var nodeKind: NodeState.Kind
  /// The region that devices join; `nil` chooses the one with the fewest devices. For a region, absent.
  package var region: NodeID?
  /// The only id that the token gives. Required for a region.
  package var node: NodeID?
  /// Labels that devices get.
  package var labels: [String: String]?
  /// How many machines may enrol; `nil` stands for one.
  package var uses: Int?
  /// How long the token is valid; `nil` stands for 24.
  package var hours: Double?
  /// Whether each enrolment waits for an operator.
  package var approve: Bool?
  /// Of a region.
  package var server: ServerPlace?

  package init(
    nodeKind: NodeState.Kind, region: NodeID? = nil, node: NodeID? = nil, labels: [String: String]? = nil, uses: Int? = nil,
    hours: Double? = nil, approve: Bool? = nil, server: ServerPlace? = nil
  ) {
    self.nodeKind = nodeKind
    self.region = region
    self.node = node
    self.labels = labels
    self.uses = uses
    self.hours = hours
    self.approve = approve
    self.server = server
  }
}

extension TokenRequest: RangeChecked {
  package func checkRanges() throws(RangeError) {
    try Bounds(1...100_000).require(uses, "uses")
    try Bounds(0.01...87_600).require(hours, "hours")
  }
}

/// The answer of `POST /v1/tokens`. The token is shown only here.
package struct IssuedToken: Codable, Hashable, Sendable {
  package var id: String
  package var token: String
  package var expires: WallTime

  package init(id: String, token: String, expires: WallTime) {
    self.id = id
    self.token = token
    self.expires = expires
  }
}

/// An enrolment token, as `GET /v1/tokens` lists it.
package struct TokenSummary: Codable, Hashable, Sendable {
  package var id: String
  package var nodeKind: NodeState.Kind
  package var region: NodeID?
  package var node: NodeID?
  package var usesLeft: Int
  package var expires: WallTime
  package var revoked: WallTime?

  package init(
    id: String, nodeKind: NodeState.Kind, region: NodeID? = nil, node: NodeID? = nil, usesLeft: Int, expires: WallTime,
    revoked: WallTime? = nil
  ) {
    self.id = id
    self.nodeKind = nodeKind
    self.region = region
    self.node = node
    self.usesLeft = usesLeft
    self.expires = expires
    self.revoked = revoked
  }
}

/// A member, as `GET /v1/members` lists it.
package struct MemberSummary: Codable, Hashable, Sendable {
  package var node: NodeID
  package var nodeKind: NodeState.Kind
  package var region: NodeID?
  /// The fingerprint of its key.
  package var key: Digest
  /// The serial number of its certificate, and when that ends.
  package var serial: String?
  package var ends: WallTime?
  package var labels: [String: String]
  package var enrolled: WallTime
  /// When and why it was revoked.
  package var revoked: WallTime?
  package var reason: String?

  package init(
    node: NodeID, nodeKind: NodeState.Kind, region: NodeID?, key: Digest, serial: String?, ends: WallTime?, labels: [String: String],
    enrolled: WallTime, revoked: WallTime?, reason: String?
  ) {
    self.node = node
    self.nodeKind = nodeKind
    self.region = region
    self.key = key
    self.serial = serial
    self.ends = ends
    self.labels = labels
    self.enrolled = enrolled
    self.revoked = revoked
    self.reason = reason
  }
}

/// A machine that waits for an operator, as `GET /v1/enrolments` lists it.
package struct PendingSummary: Codable, Hashable, Sendable {
  package var key: Digest
  package var node: NodeID
  package var nodeKind: NodeState.Kind
  package var region: NodeID?
  package var since: WallTime
  package var reason: String

  package init(key: Digest, node: NodeID, nodeKind: NodeState.Kind, region: NodeID?, since: WallTime, reason: String) {
    self.key = key
    self.node = node
    self.nodeKind = nodeKind
    self.region = region
    self.since = since
    self.reason = reason
  }
}
