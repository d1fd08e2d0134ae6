/// The body of `POST /v1/enrolments`: a machine asks to become a member.
///
/// The request's field `Authorization: Muster-Token ID.CODE` holds the token's id and the HMAC-SHA256 of this body in base64url. Asking
/// again with the same key gives the same answer, and does not use the token again.
package struct EnrolmentRequest: Codable, Hashable, Sendable {
  /// A certificate request (PKCS #10) in PEM, of which only the key is used.
  package var request: String
  /// The id that the machine wants; `nil` lets central derive one from `host`.
  package var id: NodeID?
  /// The machine's host name.
  package var host: String
  /// What the machine will be. A token of the other kind is refused, and not used up.
  package var nodeKind: NodeState.Kind

  package init(request: String, id: NodeID? = nil, host: String, nodeKind: NodeState.Kind) {
    self.request = request
    self.nodeKind = nodeKind
    self.id = id
    self.host = host
  }
}

/// The answer to an ``EnrolmentRequest`` that was granted.
package struct Enrolment: Codable, Hashable, Sendable {
  /// The member's certificate in PEM.
  package var certificate: String
  /// The server authority's certificate in PEM.
  package var authority: String
  /// A signed ``MemberStatement``.
  package var member: String
  /// A signed ``TrustStatement``.
  package var trust: String
  /// Seconds until the member should ask for its next certificate. The member counts them itself, because its clock may be wrong.
  package var renewSeconds: Double
  /// Of a region: the certificate of its broker and its listeners, in PEM.
  package var server: String?
  /// Of a region: the device authority's certificate in PEM, which its broker and its listeners accept.
  package var deviceAuthority: String?
  /// Of a region: where its broker and its data listener are.
  package var place: ServerPlace?
  /// Of a region: the list of revoked certificates for its broker, in PEM.
  package var revocations: String?

  package init(
    certificate: String, authority: String, member: String, trust: String, renewSeconds: Double, server: String? = nil,
    deviceAuthority: String? = nil, place: ServerPlace? = nil, revocations: String? = nil
  ) {
    self.certificate = certificate
    self.authority = authority
    self.member = member
    self.trust = trust
    self.renewSeconds = renewSeconds
    self.server = server
    self.deviceAuthority = deviceAuthority
    self.place = place
    self.revocations = revocations
  }
}

/// What central says to a member that asks about itself: `GET /v1/enrolments/self`.
package struct MembershipState: Codable, Hashable, Sendable {
  /// Seconds until the certificate should be renewed; 0 if that is due.
  package var renewSeconds: Double

  package init(renewSeconds: Double) { self.renewSeconds = renewSeconds }
}

/// The answer, with status 202, to an ``EnrolmentRequest`` that waits for an operator.
package struct PendingEnrolment: Codable, Hashable, Sendable {
  /// The id that the machine will have.
  package var id: NodeID
  /// The fingerprint of the machine's key, to be compared with what the operator sees.
  package var key: Digest
  /// Why it waits.
  package var reason: String

  package init(id: NodeID, key: Digest, reason: String) {
    self.id = id
    self.key = key
    self.reason = reason
  }
}
