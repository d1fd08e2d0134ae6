import HTTPTypes
import Hummingbird
import MusterCoordination
import MusterSchema
import MusterServer

/// Central's own routes of the ops API: `/v1/tasks…`, `/v1/regions`, `/v1/nodes`, `/v1/events`, `/metrics`.
struct OperationsRoutes {
  let central: Central

  func add(to router: Router<RouteContext>) {
    router.get("metrics") { _, _ in textResponse(try await central.metrics()) }
    router.get("v1/regions") { _, _ in try jsonResponse(await central.regions()) }
    router.get("v1/nodes") { _, _ in try jsonResponse(await central.nodes().nodes) }
    router.post("v1/nodes/:region/forget") { _, context in
      try await central.forget(try context.identifier("region"), nil)
      return Response(status: .noContent)
    }
    router.post("v1/nodes/:region/:device/forget") { _, context in
      try await central.forget(try context.identifier("region"), try context.identifier("device", as: NodeID.self))
      return Response(status: .noContent)
    }
    router.get("v1/tasks") { request, _ in
      try listResponse(await central.summaries(try TaskFilter(request), try PageRequest(request)), request)
    }
    router.post("v1/tasks/check") { request, context in try jsonResponse(await central.check(try await TaskBody(request, context))) }
    router.get("v1/tasks/:task") { request, context in
      try jsonResponse(await central.detail(try context.identifier("task"), try RoundWindow(request)))
    }
    router.get("v1/tasks/:task/now") { _, context in try jsonResponse(await central.now(try context.identifier("task"))) }
    router.get("v1/tasks/:task/why") { _, context in try jsonResponse(await central.explanation(try context.identifier("task"))) }
    router.get("v1/tasks/:task/traffic") { _, context in try jsonResponse(await central.traffic(try context.identifier("task"))) }
    router.get("v1/tasks/:task/models") { request, context in
      try listResponse(await central.models(of: try context.identifier("task"), try PageRequest(request)), request)
    }
    router.post("v1/tasks/:task/rounds/:round/replay") { _, context in
      let round = try context.round()
      return try jsonResponse(await central.replay(try context.identifier("task"), round: round))
    }
    router.get("v1/events") { request, _ in
      let filter = try EventFilter(request)
      guard request.wantsEventStream else { return try listResponse(await central.events(filter, try PageRequest(request)), request) }
      return try await EventStream(central, filter, after: request.lastEventID).response(to: request)
    }
    router.put("v1/tasks/:task") { request, context in
      let (summary, isNew) = try await central.push(try context.identifier("task"), try await TaskBody(request, context))
      return try jsonResponse(summary, status: isNew ? .created : .ok)
    }
    router.post("v1/tasks/:task/:action") { _, context in
      try jsonResponse(await central.act(try context.parameters.require("action"), on: try context.identifier("task")))
    }
  }
}
