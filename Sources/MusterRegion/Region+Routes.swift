import Hummingbird
import MusterDataPlane
import MusterSchema
import MusterServer
import MusterTransfer

extension Region {
  func addDataRoutes(to router: Router<RouteContext>) {
    DataPlaneRoutes(server, ledger: ledger, source: models).add(to: router)
    addSharedRoutes(to: router) { context throws(Problem) in try context.caller.require(NodePath(.central)) }
  }

  func addOperationsRoutes(to router: Router<RouteContext>) {
    addSharedRoutes(to: router) { _ in }
    router.put("v1/tasks/:task") { request, context in
      let body = try await request.bytes(context: context, upTo: TaskSpecification.maximumBytes)
      let answer = try await self.push(
        try context.identifier("task"), body, contentType: request.headers[.contentType] ?? "application/json")
      return Response(
        status: .init(code: answer.status), headers: [.contentType: "application/json"], body: .init(byteBuffer: .init(bytes: answer.body)))
    }
  }

  /// Adds the routes that central uses on the data listener and operators use on the ops listener.
  ///
  /// - Parameter allow: refuses callers that may not use them.
  private func addSharedRoutes(to router: Router<RouteContext>, allow: @escaping @Sendable (RouteContext) throws(Problem) -> Void) {
    router.get("v1/nodes") { _, context in
      try allow(context)
      return try jsonResponse(await self.nodes())
    }
    router.get("v1/tasks/:task") { request, context in
      try allow(context)
      return try jsonResponse(await self.task(try context.identifier("task"), try RoundWindow(request)))
    }
  }
}
