package import Logging
package import MusterSchema
package import MusterStorage

/// Reads the store for routes. Errors are logged, and become the problem to answer with.
package struct HistoryReader: Sendable {
  private let store: any Store
  private let server: NodeID
  private let logger: Logger

  package init(store: any Store, server: NodeID, logger: Logger) {
    self.store = store
    self.server = server
    self.logger = logger
  }

  package func ask<T>(_ question: (any Store) async throws(StorageError) -> T) async throws(Problem) -> T {
    do throws(StorageError) {
      return try await question(store)
    } catch {
      logger.error("the store cannot be read: \(error)")
      throw Problem(error)
    }
  }

  /// The task's row.
  ///
  /// - Throws: 404 if there is no such task.
  package func row(_ task: TaskID) async throws(Problem) -> TaskRow {
    let row = try await ask { (store) throws(StorageError) in try await store.task(task) }
    guard let row else { throw unknown(task) }
    return row
  }

  package func contribution(_ key: ContributionKey) async throws(Problem) -> ContributionRecord? {
    try await ask { (store) throws(StorageError) in try await store.contribution(key) }
  }

  /// - Throws: 404 if there is no such record.
  package func record(of task: TaskID, round: Int) async throws(Problem) -> RoundRecord {
    let record = try await ask { (store) throws(StorageError) in try await store.record(of: task, round: round) }
    if let record { return record }
    _ = try await row(task)
    throw Problem(.unknownRound, "task \(task) has no record of round \(round)")
  }

  /// The records of the rounds in a window.
  ///
  /// - Returns: the records, and the newest round, whether it is in the window or not.
  package func records(of task: TaskID, _ window: RoundWindow) async throws(Problem) -> (rounds: [RoundRecord], newest: Int?) {
    let found = try await ask { (store) throws(StorageError) -> (rounds: [RoundRecord], newest: Int?)? in
      let newest = try await store.rounds(of: task, PageRequest(limit: PageRequest.most)).rows
      guard let first = window.first(newestFirst: newest) else { return ([], newest.first?.round) }
      let records = try await store.records(of: task, since: first, most: RoundWindow.mostContributions)
      // Another round may have ended in the meantime.
      return records.map { records in (records.filter { $0.round <= newest.first?.round ?? 0 }, newest.first?.round) }
    }
    if let found { return found }
    throw Problem(
      .badRequest,
      "these rounds have more than \(RoundWindow.mostContributions) contributions: ask for fewer with rounds=last:N, or a page of "
        + "/v1/tasks/\(task)/rounds at a time")
  }

  package func unknown(_ task: TaskID) -> Problem {
    Problem(
      .unknownTask,
      server == .central
        ? "central has no task \(task): run `muster task list` to see the existing tasks" : "region \(server) has no task \(task)")
  }
}
