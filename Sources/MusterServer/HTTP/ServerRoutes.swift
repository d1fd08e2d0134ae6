import Hummingbird
import MusterSchema

/// Routes of every ops listener about the server itself: `/healthz`, `/readyz`, `/v1/info`.
struct ServerRoutes {
  let info: ServerInfo
  let links: [ServerLink]

  func add(to router: Router<RouteContext>) {
    let (info, links) = (info, links)
    router.get("healthz") { _, _ in textResponse("ok\n") }
    router.get("readyz") { _, _ in
      let summary = links.map { "\($0.name): \($0.link.summary)\n" }.joined()
      return textResponse(summary, status: links.allSatisfy(\.link.isConnected) ? .ok : .serviceUnavailable)
    }
    router.get("v1/info") { _, _ in try jsonResponse(info) }
  }
}
