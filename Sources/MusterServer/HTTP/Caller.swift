package import Hummingbird

/// The party that makes a request.
package enum Caller: Hashable, Sendable {
  /// A fleet without identities: every caller may do everything that its listener offers.
  case anonymous
}

extension Caller: CustomStringConvertible {
  /// For log lines.
  package var description: String {
    switch self {
    case .anonymous: "anonymous"
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

/// Identifies the caller of every request before any route runs.
struct CallerMiddleware: RouterMiddleware {
  let identification: any CallerIdentification

  func handle(_ request: Request, context: RouteContext, next: (Request, RouteContext) async throws -> Response) async throws -> Response {
    var context = context
    context.caller = try await identification.caller(of: request, context)
    return try await next(request, context)
  }
}
