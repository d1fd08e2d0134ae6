package import Hummingbird
package import MusterSchema

/// The party that makes a request.
package enum Caller: Hashable, Sendable {
  /// A fleet without identities: every caller may do everything that its listener offers.
  case anonymous
  /// A fleet with identities, and a caller that showed no certificate.
  case stranger
  case member(Member)
}

/// A member of the fleet, as its certificate shows it.
package struct Member: Hashable, Sendable {
  /// `north` for a region, `north/pi-1` for a device.
  package var path: NodePath
  package var nodeKind: NodeState.Kind
  /// The fingerprint of its key.
  package var key: Digest

  package init(path: NodePath, nodeKind: NodeState.Kind, key: Digest) {
    self.path = path
    self.nodeKind = nodeKind
    self.key = key
  }
}

extension Caller: CustomStringConvertible {
  /// For log lines.
  package var description: String {
    switch self {
    case .anonymous: "anonymous"
    case .stranger: "stranger"
    case .member(let member): "\(member.path)"
    }
  }
}

extension Caller {
  /// Refuses callers other than the node that the path names. In a plain fleet every caller is allowed.
  package func require(_ path: NodePath) throws(Problem) {
    switch self {
    case .anonymous: return
    case .stranger: throw Problem(.notAdmitted, "a caller without a certificate may not act for \(path)")
    case .member(let member):
      guard member.path == path else {
        throw Problem(.notAdmitted, "the certificate is that of \(member.path), which may not act for \(path)")
      }
    }
  }
}

/// Identifies the caller of a request. A listener has one, and its routes read the result from ``RouteContext/caller``.
package protocol CallerIdentification: Sendable {
  /// - Throws: the problem to answer with, if the caller is refused.
  func caller(of request: Request, _ context: RouteContext) async throws -> Caller
}

/// Treats every caller as anonymous.
package struct AnonymousCallers: CallerIdentification {
  package init() {}

  package func caller(of request: Request, _ context: RouteContext) async throws -> Caller { .anonymous }
}

/// Identifies callers by the keys of their certificates.
///
/// The listener has checked the certificate. Here the present list of members is asked, so that a revoked member is refused at once, also
/// on a connection that it has had for long. A caller without a certificate is refused, except where machines become members.
package struct MemberCallers: CallerIdentification {
  private let open: Set<String>
  private let member: @Sendable (_ key: Digest) async throws(Problem) -> Member

  /// - Parameters:
  ///   - open: the paths that callers without a certificate may ask for.
  ///   - member: returns the member with a key, or throws the problem to answer with.
  package init(open: Set<String>, _ member: @escaping @Sendable (_ key: Digest) async throws(Problem) -> Member) {
    self.open = open
    self.member = member
  }

  package func caller(of request: Request, _ context: RouteContext) async throws -> Caller {
    if let key = try await context.certificateKey() { return .member(try await member(key)) }
    guard open.contains(request.uri.path) else {
      throw Problem(
        .notAdmitted, "only members of this fleet may do this: connect with the certificate that the machine got when it enrolled")
    }
    return .stranger
  }
}

/// Identifies the caller of every request before any route runs.
struct CallerMiddleware: RouterMiddleware {
  let identification: any CallerIdentification

  func handle(_ request: Request, context: RouteContext, next: (Request, RouteContext) async throws -> Response) async throws -> Response {
    var context = context
    context.caller = try await identification.caller(of: request, context)
    return try await next(request, context)
  }
}
