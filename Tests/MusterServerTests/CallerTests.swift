import HTTPTypes
import Hummingbird
import Logging
import MusterSchema
import MusterTransfer
import TestSupport
import Testing

@testable import MusterCentral
@testable import MusterRegion
@testable import MusterServer

/// Callers are identified in one place, before any route runs.
@Suite("Callers") struct CallerTests {
  /// Refuses every caller.
  private struct Closed: CallerIdentification {
    func caller(of request: Request, _ context: RouteContext) async throws -> Caller { throw Problem(.notAdmitted, "closed") }
  }

  private static let quiet = LogRecorder().logger

  private func settings(_ folder: TemporaryFolder, _ arguments: String...) async throws -> ServerSettings {
    try await ServerSettings(
      arguments: ["server", "--state", folder.file("state")] + arguments, environment: [:], defaultFile: "/nowhere/server.yaml")
  }

  private func closedRouter(_ listener: ListenerConfiguration) -> Router<RouteContext> {
    makeRouter(listener, identification: Closed(), log: RefusalLog(listener.name, logger: Self.quiet))
  }

  /// The routes that answer although the caller is refused.
  private func open(_ router: Router<RouteContext>) async throws -> (all: [String], open: [String]) {
    let responder = router.buildResponder()
    var (all, open) = ([String](), [String]())
    for route in router.routes {
      let path = "\(route.path)".split(separator: "/").map { part in part.hasPrefix("{") || part == "**" ? "x" : part }.joined(
        separator: "/")
      let head = HTTPRequest(method: route.method, scheme: "http", authority: "localhost", path: "/\(path)")
      let context = RouteContext(logger: Self.quiet)
      let response = try await responder.respond(to: Request(head: head, body: RequestBody(buffer: .init())), context: context)
      all.append("\(route.method) \(route.path)")
      if response.status.code != 403 { open.append("\(route.method) \(route.path): \(response.status)") }
    }
    return (all, open)
  }

  @Test("No route of central answers a caller that was not identified")
  func central() async throws {
    let folder = try TemporaryFolder()
    let configuration = try await CentralConfiguration(try await settings(folder, "--regions", "north"), defaultState: nil)
    let central = try await Central(configuration, logger: Self.quiet)
    let data = closedRouter(configuration.server.data)
    central.server.addDataRoutes(to: data, central.addDataRoutes)
    let ops = closedRouter(configuration.server.ops)
    central.server.addOperationsRoutes(to: ops, [], central.addOperationsRoutes)
    for (router, expected) in [(data, "GET /v1/descriptors"), (ops, "PUT /v1/tasks/{task}")] {
      let (all, open) = try await open(router)
      #expect(open.isEmpty, "\(open)")
      #expect(all.contains(expected), "\(all)")
    }
  }

  @Test("No route of a region answers a caller that was not identified")
  func region() async throws {
    let folder = try TemporaryFolder()
    let configuration = try await RegionConfiguration(try await settings(folder, "--id", "north"), defaultState: nil)
    let region = try await Region(configuration, logger: Self.quiet)
    let data = closedRouter(configuration.server.data)
    region.server.addDataRoutes(to: data, region.addDataRoutes)
    let ops = closedRouter(configuration.server.ops)
    region.server.addOperationsRoutes(to: ops, [], region.addOperationsRoutes)
    for (router, expected) in [(data, "GET /v1/nodes"), (ops, "PUT /v1/tasks/{task}")] {
      let (all, open) = try await open(router)
      #expect(open.isEmpty, "\(open)")
      #expect(all.contains(expected), "\(all)")
    }
  }

  @Test("A route receives the caller that was identified; in a fleet without identities it is the anonymous one")
  func received() async throws {
    let listener = ListenerConfiguration(name: "ops", port: 0)
    let router = makeRouter(listener, log: RefusalLog("ops", logger: Self.quiet))
    router.get("who") { _, context in textResponse("\(context.caller)") }
    let head = HTTPRequest(method: .get, scheme: "http", authority: "localhost", path: "/who")
    let response = try await router.buildResponder().respond(
      to: Request(head: head, body: RequestBody(buffer: .init())), context: RouteContext(logger: Self.quiet))
    #expect(response.status == .ok)
    #expect(response.body.contentLength == "anonymous".utf8.count)
  }
}
