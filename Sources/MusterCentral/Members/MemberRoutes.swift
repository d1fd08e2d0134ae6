import Hummingbird
import MusterIdentity
import MusterSchema
import MusterServer

/// The routes of the ops API for tokens, members and machines that wait.
struct MemberRoutes {
  /// `nil` in a plain fleet, where each route says so.
  let fleet: Members?

  private var members: Members {
    get throws(Problem) {
      guard let fleet else {
        throw Problem(.memberConflict, "this fleet has no identities, so it has no members: muster-central init makes them")
      }
      return fleet
    }
  }

  /// The body of an act on a member or a machine that waits.
  private struct Act: Decodable {
    var reason: String?
    var region: NodeID?
    /// A label without a value is removed.
    var labels: [String: String?]?
  }

  func add(to router: Router<RouteContext>) {
    router.get("v1/tokens") { _, _ in try jsonResponse(try members.tokens) }
    router.post("v1/tokens") { request, context in
      try jsonResponse(try await members.makeToken(try await body(request, context)), status: .created)
    }
    router.post("v1/tokens/:token/revoke") { _, context in
      try await members.revokeToken(try context.identifier("token"))
      return Response(status: .noContent)
    }
    router.get("v1/members") { _, _ in try jsonResponse(try members.members) }
    router.get("v1/enrolments") { _, _ in try jsonResponse(try members.pending) }
    router.post("v1/enrolments/:key/:action") { _, context in
      guard let key = Digest(try context.parameters.require("key")) else { throw Problem.badRequest("a key is a SHA-256 in hexadecimal") }
      switch try context.parameters.require("action") {
      case "accept": try await members.accept(key)
      case "reject": try await members.reject(key)
      default: throw Problem(.unknownAction, "a machine that waits can be accepted or rejected")
      }
      return Response(status: .noContent)
    }
    router.post("v1/members/:node/:action") { request, context in
      let node = try context.identifier("node", as: NodeID.self)
      let action = try context.parameters.require("action")
      let act: Act = try await body(request, context)
      switch action {
      case "revoke":
        guard let reason = act.reason, (1...200).contains(reason.utf8.count) else {
          throw Problem.invalid("reason: must say in at most 200 bytes why the member is revoked")
        }
        try await members.revoke(node, reason: reason.withoutControlCharacters)
      case "move":
        guard let region = act.region else { throw Problem.invalid("region: is missing") }
        try await members.move(node, to: region)
      case "label":
        guard let labels = act.labels else { throw Problem.invalid("labels: is missing") }
        try await members.label(node, labels)
      case "forget": try await members.forget(node)
      default: throw Problem(.unknownAction, "a member can be revoked, moved, labelled or forgotten")
      }
      return Response(status: .noContent)
    }
  }

  private func body<T: Decodable>(_ request: Request, _ context: RouteContext) async throws -> T {
    let bytes = try await request.bytes(context: context, upTo: 16 << 10)
    do {
      return try JSON.decode(T.self, from: bytes.isEmpty ? Array("{}".utf8) : Array(bytes))
    } catch {
      throw Problem.invalid("the body is not valid: \(JSON.explain(error, in: bytes))")
    }
  }
}
