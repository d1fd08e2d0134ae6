import HTTPTypes
import Hummingbird
import MusterSchema

/// Protects a listener that trusts everyone who can reach it from web pages: a browser on an operator's machine can reach the loopback
/// address, and sends any request that a page makes.
///
/// Requests from pages have `Origin` and `Sec-Fetch-Site`, which scripts cannot change. A page whose own host name was made to resolve to
/// this address (DNS rebinding) is recognized by `Host`, which must be an address or a known name of this server. Programs send neither
/// `Origin` nor `Sec-Fetch-Site`, and their `Host` is the name that their user gave.
struct SiteMiddleware: RouterMiddleware {
  private let names: Set<String>

  /// - Parameter hosts: names of the server, in addition to its addresses and `localhost`.
  init(hosts: [Host]) { names = Set(hosts.map(\.name)) }

  func handle(
    _ request: Request, context: RouteContext, next: (Request, RouteContext) async throws -> Response
  ) async throws -> Response {
    // The server's health is not secret, and monitoring may use any name for the server.
    if request.uri.path != "/healthz" { try check(request) }
    return try await next(request, context)
  }

  private func check(_ request: Request) throws(Problem) {
    let authority = request.head.authority
    if let authority, !isKnown(authority) {
      throw .foreignSite(
        "this server has no name \"\(String(authority.prefix(100)).withoutControlCharacters)\": use its address, or add the name to ops.hosts"
      )
    }
    if let origin = request.headers[.origin], !isOwn(origin, authority) {
      throw .foreignSite("a page of another site (\(String(origin.prefix(100)).withoutControlCharacters)) may not use this API")
    }
    if let site = request.headers[.fetchSite], site != "same-origin", site != "none" {
      throw .foreignSite(
        "a page of another site may not use this API (Sec-Fetch-Site: \(String(site.prefix(40)).withoutControlCharacters))")
    }
  }

  private func isKnown(_ authority: String) -> Bool {
    do {
      let host = try HostAndPort(validating: authority, defaultPort: 80).host
      return host.isNumeric || host.name == "localhost" || names.contains(host.name)
    } catch {
      return false
    }
  }

  /// Whether the page came from this server: its origin has the host and port of `Host`.
  private func isOwn(_ origin: String, _ authority: String?) -> Bool {
    guard let page = ServerAddress(origin), page.path.isEmpty, let authority else { return false }
    do {
      return try HostAndPort(validating: authority, defaultPort: page.isTLS ? 443 : 80) == page.server
    } catch {
      return false
    }
  }
}

extension HTTPField.Name {
  fileprivate static let fetchSite = HTTPField.Name("Sec-Fetch-Site").unsafelyUnwrapped
}

extension Problem {
  fileprivate static func foreignSite(_ detail: String) -> Problem { Problem(.foreignSite, detail) }
}
