import Hummingbird
import MusterSchema
import MusterStorage

/// Routes of every ops listener about finished rounds, and the fate of contributions and invitations.
struct HistoryRoutes {
  let history: HistoryReader

  func add(to router: Router<RouteContext>) {
    let history = history
    router.get("v1/contributions") { request, _ in
      let (filter, page) = (try ContributionFilter(request), try PageRequest(request))
      return try listResponse(
        try await history.ask { (store) throws(StorageError) in try await store.contributions(filter, page) }, request)
    }
    router.get("v1/tasks/:task/rounds") { request, context in
      let (task, page) = (try context.identifier("task", as: TaskID.self), try PageRequest(request))
      _ = try await history.row(task)
      return try listResponse(try await history.ask { (store) throws(StorageError) in try await store.rounds(of: task, page) }, request)
    }
    router.get("v1/tasks/:task/rounds/:round") { _, context in
      let (task, round) = (try context.identifier("task", as: TaskID.self), try context.round())
      return try jsonResponse(try await history.record(of: task, round: round))
    }
  }
}
