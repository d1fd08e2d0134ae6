package import HTTPTypes
package import Hummingbird
package import Logging
import MusterSchema
import NIOCore
import NIOHTTPTypes
import NIOSSL

/// The context of a request: its connection and its caller.
package struct RouteContext: RequestContext {
  package var coreContext: CoreRequestContextStorage
  /// Set by ``CallerMiddleware``, before any route runs.
  package internal(set) var caller = Caller.anonymous
  let channel: (any Channel)?

  package init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    channel = source.channel
  }

  /// A context for a request without a connection.
  package init(logger: Logger) {
    coreContext = .init(source: NoConnection(logger: logger))
    channel = nil
  }

  private struct NoConnection: RequestContextSource {
    let logger: Logger
  }

  /// The address from which the request came, without its port.
  var client: String { channel?.remoteAddress?.ipAddress ?? "?" }

  /// The fingerprint of the key in the caller's certificate, which the listener has checked: the SHA-256 of its SubjectPublicKeyInfo.
  /// `nil` if the caller showed none.
  func certificateKey() async throws -> Digest? {
    guard let channel, let certificate = try await channel.nioSSL_peerCertificate().get() else { return nil }
    return Digest(of: try certificate.extractPublicKey().toSPKIBytes())
  }

  /// Tells a client that sent `Expect: 100-continue` to send the body. Called when the head is accepted and before the body is read.
  package func expectBody(_ request: Request) async throws {
    guard let expect = request.headers[.expect], expect.lowercased() == "100-continue" else { return }
    try await say(HTTPResponse(status: .continue))
  }

  /// Sends an interim response.
  package func say(_ interim: HTTPResponse) async throws { try await channel?.writeAndFlush(HTTPResponsePart.head(interim)) }
}

/// Creates the router of a listener, without routes. It turns errors into problem+json, including unknown routes, and identifies callers.
package func makeRouter(
  _ configuration: ListenerConfiguration, identification: any CallerIdentification = AnonymousCallers(), log: RefusalLog
) -> Router<RouteContext> {
  let router = Router(context: RouteContext.self)
  router.add(middleware: ProblemMiddleware(log: log))
  if configuration.limits.requestsPerSecond > 0 {
    let rate = RequestRate(perSecond: configuration.limits.requestsPerSecond) {
      log.note(
        429, "more than \(RequestRate.capacity) addresses send requests, so the least active are no longer counted",
        limit: "requestsPerSecond")
    }
    router.add(middleware: RateMiddleware(rate: rate))
  }
  if let names = configuration.names { router.add(middleware: SiteMiddleware(hosts: names)) }
  router.add(middleware: CallerMiddleware(identification: identification))
  return router
}
