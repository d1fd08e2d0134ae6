package import MusterIdentity
package import MusterSchema

/// A member of the fleet: a region, or a device of one.
package struct MemberRecord: Codable, Hashable, Sendable {
  package var node: NodeID
  package var nodeKind: NodeState.Kind
  /// The region of a device; `nil` for a region.
  package var region: NodeID?
  /// The fingerprint of the key that its certificate is for.
  package var key: Digest
  package var labels: [String: String]
  /// Of a region.
  package var server: ServerPlace?
  /// `nil` between the decision to admit it and the issuing of its certificate.
  package var certificate: CertificateRecord?
  /// Certificates that were renewed and have not ended: they count until then, or until the member is revoked.
  package var earlier: [EarlierCertificate]?
  /// Of a region: the certificate of its broker and its listeners, in PEM.
  package var serverCertificate: String?
  package var enrolled: WallTime
  /// The token with which it enrolled.
  package var token: TokenID
  package var revocation: RevocationRecord?
  /// Increases with every change, and is the revision of its ``MemberStatement``.
  package var revision: Int

  package var isActive: Bool { revocation == nil }
}

/// The certificate that a member has now.
package struct CertificateRecord: Codable, Hashable, Sendable {
  package var serial: SerialNumber
  package var end: WallTime
  package var pem: String

  package init(_ issued: IssuedCertificate) {
    serial = issued.serial
    end = issued.end
    pem = issued.pem
  }
}

/// A certificate that a member had before its present one.
package struct EarlierCertificate: Codable, Hashable, Sendable {
  package var serial: SerialNumber
  package var end: WallTime
}

/// The time of a revocation, and the reason that the operator gave.
package struct RevocationRecord: Codable, Hashable, Sendable {
  package var at: WallTime
  /// The operator's words: `lost`.
  package var reason: String
}

/// An enrolment that waits for an operator.
package struct PendingRecord: Codable, Hashable, Sendable {
  /// The fingerprint of the key, which people compare on both machines.
  package var key: Digest
  package var node: NodeID
  package var nodeKind: NodeState.Kind
  package var region: NodeID?
  package var labels: [String: String]
  package var server: ServerPlace?
  package var token: TokenID
  package var since: WallTime
  /// Why it waits, for the operator.
  package var reason: String
  package var isRejected = false
}
