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

/// Finds out who makes a request. A listener has one, and its routes read the result from ``RouteContext/caller``.
package protocol CallerIdentification: Sendable {
  /// - Throws: the problem to answer with, for a caller that must not go on.
  func caller(of request: Request, _ context: RouteContext) async throws -> Caller
}

/// Every caller is anonymous.
package struct AnonymousCallers: CallerIdentification {
  package init() {}

  package func caller(of request: Request, _ context: RouteContext) async throws -> Caller { .anonymous }
}

/// The one place where a server identifies its callers, before any route runs.
struct CallerMiddleware: RouterMiddleware {
  let identification: any CallerIdentification

  func handle(_ request: Request, context: RouteContext, next: (Request, RouteContext) async throws -> Response) async throws -> Response {
    var context = context
    context.caller = try await identification.caller(of: request, context)
    return try await next(request, context)
  }
}
