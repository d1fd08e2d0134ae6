import MusterSchema
import MusterServer
import MusterStorage

// Finished rounds, and tasks that have left memory, for operators. The answers come from the store.
extension Central {
  func models(of task: TaskID, _ page: PageRequest) async throws(Problem) -> Page<ModelCheckpoint> {
    _ = try await history.row(task)
    let page = try await history.ask { (store) throws(StorageError) in try await store.models(of: task, page) }
    return page.map(present)
  }

  func events(_ filter: EventFilter, _ page: PageRequest) async throws(Problem) -> Page<TaskEvent> {
    try await history.ask { (store) throws(StorageError) in try await store.events(filter, page) }
  }

  /// The records of the rounds in a window, and the models that they began or ended with.
  ///
  /// - Returns: also the number of finished rounds, consistent with the records even if the task continues in the meantime.
  func past(
    _ task: TaskID, _ window: RoundWindow
  ) async throws(Problem) -> (rounds: [RoundRecord], ended: Int, models: [ModelCheckpoint]) {
    let (rounds, newest) = try await history.records(of: task, window)
    // At central every finished round has a record.
    return (rounds, newest ?? 0, try await models(of: task, since: rounds.first.map { $0.round - 1 } ?? newest ?? 0))
  }

  private func models(of task: TaskID, since first: Int) async throws(Problem) -> [ModelCheckpoint] {
    var models: [ModelCheckpoint] = []
    var page = PageRequest(limit: PageRequest.most)
    while true {
      let asked = page
      let found = try await history.ask { (store) throws(StorageError) in try await store.models(of: task, asked) }
      models += found.rows.prefix { $0.round >= first }.map(present)
      guard let next = found.next, next > first else { return models.reversed() }
      page.after = next
    }
  }

  /// Marks a model as kept only if its file exists, because version 0.1.0 did not keep every model that would be kept today.
  private func present(_ model: ModelCheckpoint) -> ModelCheckpoint {
    var model = model
    model.kept = model.kept && state.contains(model.digest)
    return model
  }
}
