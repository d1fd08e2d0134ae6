import HTTPTypes
import Hummingbird
import MusterIdentity
import MusterSchema
import MusterServer

/// The routes of the data listener through which machines become members and renew their certificates.
struct EnrolmentRoutes {
  let members: Members

  /// The routes for machines that are not members yet.
  static let open: Set<String> = ["/v1/authority", "/v1/trust", "/v1/enrolments"]

  /// The largest body of an enrolment request.
  private static let maximumBytes = 16 << 10

  func add(to router: Router<RouteContext>) {
    router.get("v1/authority") { _, _ in
      Response(
        status: .ok, headers: [.contentType: "application/x-pem-file"], body: .init(byteBuffer: .init(string: members.authority.pem)))
    }
    router.get("v1/trust") { _, _ in
      Response(status: .ok, headers: [.contentType: "application/json"], body: .init(byteBuffer: .init(string: members.trust)))
    }
    router.post("v1/enrolments") { request, context in
      let (token, code) = try credentials(request)
      let body = try await request.bytes(context: context, upTo: Self.maximumBytes)
      switch try await members.enrol(Array(body), token: token, code: code) {
      case .enrolled(let enrolment, let isNew): return try jsonResponse(enrolment, status: isNew ? .created : .ok)
      case .pending(let pending):
        var response = try jsonResponse(pending, status: .accepted)
        response.headers[.retryAfter] = "5"
        return response
      }
    }
    router.get("v1/regions/:region/roster") { request, context in
      let region: NodeID = try context.identifier("region")
      try context.caller.require(NodePath(region))
      let tag = request.headers[.ifNoneMatch]
      guard let roster = try members.roster(of: region, unless: tag) else {
        return Response(status: .notModified, headers: [.eTag: tag ?? ""])
      }
      var response = try jsonResponse(roster)
      response.headers[.eTag] = roster.tag
      return response
    }
    router.get("v1/enrolments/self") { _, context in
      try jsonResponse(MembershipState(renewSeconds: try members.renewSeconds(of: try member(context))))
    }
    router.post("v1/enrolments/renewal") { request, context in
      let member = try member(context)
      let body = try await request.bytes(context: context, upTo: Self.maximumBytes)
      return try jsonResponse(try await members.renew(String(decoding: body, as: UTF8.self), for: member))
    }
  }

  private func member(_ context: RouteContext) throws(Problem) -> Member {
    guard case .member(let member) = context.caller else {
      throw Problem(.notAdmitted, "only a member can ask about its certificate: connect with the present one")
    }
    return member
  }

  /// `Authorization: Muster-Token ID.CODE`
  private func credentials(_ request: Request) throws -> (TokenID, [UInt8]) {
    let field = request.headers[.authorization] ?? ""
    let parts = field.dropFirst("Muster-Token ".count).split(separator: ".", omittingEmptySubsequences: false)
    guard field.hasPrefix("Muster-Token "), parts.count == 2, let code = Base64URL.decode(parts[1]) else {
      throw Problem(.notAdmitted, "an enrolment request needs the field Authorization: Muster-Token ID.CODE")
    }
    return (try TokenID(validating: parts[0]), code)
  }
}
