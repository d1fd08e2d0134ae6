import HTTPTypes
package import Hummingbird
import NIOCore
import NIOHTTPTypes

/// What Muster's routes know of a request besides its head and body.
package struct RouteContext: RequestContext {
  package var coreContext: CoreRequestContextStorage
  let channel: (any Channel)?

  package init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    channel = source.channel
  }

  /// Tells a client that asked with `Expect: 100-continue` to go on: after the head was found good, before the body is read.
  func expectBody(_ request: Request) async throws {
    guard let channel, let expect = request.headers[.expect], expect.lowercased() == "100-continue" else { return }
    try await channel.writeAndFlush(HTTPResponsePart.head(HTTPResponse(status: .continue)))
  }
}

/// A router whose errors are all problem+json, a missing route included.
package func makeRouter() -> Router<RouteContext> {
  let router = Router(context: RouteContext.self)
  router.add(middleware: ProblemMiddleware())
  return router
}
