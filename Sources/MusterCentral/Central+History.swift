import MusterSchema
import MusterServer
import MusterStorage

// What operators ask about rounds that are over, and about tasks that have left memory: the store answers.
extension Central {
  func models(of task: TaskID, _ page: PageRequest) async throws(Problem) -> Page<ModelCheckpoint> {
    _ = try await history.row(task)
    let page = try await history.ask { (store) throws(StorageError) in try await store.models(of: task, page) }
    return page.map(present)
  }

  func events(_ filter: EventFilter, _ page: PageRequest) async throws(Problem) -> Page<TaskEvent> {
    try await history.ask { (store) throws(StorageError) in try await store.events(filter, page) }
  }

  /// The records of a task's rounds that a window asks for, and the models that they began or ended with.
  ///
  /// - Returns: how many rounds have ended, too: of one look, though a task goes on meanwhile.
  func past(
    _ task: TaskID, _ window: RoundWindow
  ) async throws(Problem) -> (rounds: [RoundRecord], ended: Int, models: [ModelCheckpoint]) {
    let (rounds, newest) = try await history.records(of: task, window)
    // At central every round has a record.
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

  /// A model counts as kept only if its file is there: version 0.1.0 did not keep every model that would be kept today.
  private func present(_ model: ModelCheckpoint) -> ModelCheckpoint {
    var model = model
    model.kept = model.kept && state.contains(model.digest)
    return model
  }
}
