package import Hummingbird
import MusterGround
package import MusterSchema
package import MusterStorage

/// What a server's history answers: rounds that are over, and what became of contributions and invitations.
package struct HistoryRoutes {
  private let store: any Store
  private let unknown: @Sendable (TaskID) -> Problem

  /// - Parameter unknown: what is said about a task that the history does not know.
  package init(store: any Store, unknown: @escaping @Sendable (TaskID) -> Problem) {
    self.store = store
    self.unknown = unknown
  }

  package func add(to router: Router<RouteContext>) {
    router.get("v1/contributions") { request, _ in
      let (filter, page) = (try ContributionFilter(request), try PageRequest(request))
      return try listResponse(try await answered { () throws(StorageError) in try await store.contributions(filter, page) }, request)
    }
    router.get("v1/tasks/:task/rounds") { request, context in
      let (task, page) = (try context.identifier("task", as: TaskID.self), try PageRequest(request))
      try await check(task)
      return try listResponse(try await answered { () throws(StorageError) in try await store.rounds(of: task, page) }, request)
    }
    router.get("v1/tasks/:task/rounds/:round") { _, context in
      let (task, round) = (try context.identifier("task", as: TaskID.self), try context.round())
      return try jsonResponse(try await record(of: task, round: round))
    }
  }

  /// - Throws: 404 when there is none.
  package func record(of task: TaskID, round: Int) async throws(Problem) -> RoundRecord {
    let record = try await answered { () throws(StorageError) in try await store.record(of: task, round: round) }
    if let record { return record }
    try await check(task)
    throw Problem(.unknownRound, "task \(task) has no record of a round \(round)")
  }

  private func check(_ task: TaskID) async throws(Problem) {
    guard try await answered({ () throws(StorageError) in try await store.task(task) }) != nil else { throw unknown(task) }
  }
}

/// Asks a store; its errors become answers.
package func answered<T>(_ question: () async throws(StorageError) -> T) async throws(Problem) -> T {
  do throws(StorageError) {
    return try await question()
  } catch {
    throw Problem(error.isDiskFull ? .diskFull : .unavailable, "\(error)")
  }
}
