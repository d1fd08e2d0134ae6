import MusterCoordination
import MusterSchema
import MusterServer
import MusterStorage

// Requests of operators about tasks.
extension Central {
  /// Tasks, starting with the newest.
  func summaries(_ filter: TaskFilter, _ page: PageRequest) async throws(Problem) -> Page<TaskSummary> {
    let rows = try await history.ask { (store) throws(StorageError) in try await store.tasks(filter, page) }
    let inMemory = await shell.read { machine in rows.rows.map { machine.summary($0.id) } }
    return Page(zip(rows.rows, inMemory).compactMap { row, summary in row.summary(inMemory: summary) }, next: rows.next)
  }

  func summary(_ task: TaskID) async throws(Problem) -> TaskSummary {
    try await withRow(of: task) { row in row.summary(inMemory: await shell.read { $0.summary(task) }) }
  }

  /// Asks the store and then central's memory. Repeats this for a task that entered or left memory in between.
  private func withRow<T>(of task: TaskID, _ body: (TaskRow) async -> T?) async throws(Problem) -> T {
    for _ in 0..<Self.looks {
      if let result = await body(try await history.row(task)) { return result }
      do { try await Task.sleep(for: .milliseconds(20)) } catch { break }
    }
    throw history.unknown(task)
  }

  private static let looks = 10

  /// The current state of a task, as its topic has it once a second.
  func now(_ task: TaskID) async throws(Problem) -> RoundState {
    if let now = await shell.read({ $0.roundState(task) }) { return now }
    return try await withRow(of: task) { row in row.retired?.now }
  }

  func detail(_ task: TaskID, _ window: RoundWindow) async throws(Problem) -> TaskDetail {
    let (row, state) = try await withRow(of: task) { row in
      let live = await shell.read { machine in
        machine.tasks[task].flatMap { run in
          machine.summary(task).flatMap { summary in
            machine.roundState(task).map { RetiredTask(summary: summary, now: $0, revision: run.descriptor.revision) }
          }
        }
      }
      return (live ?? row.retired).map { (row, $0) }
    }
    guard let summary = row.summary(inMemory: state.summary), let specification = row.specification else { throw history.unknown(task) }
    let past = try await past(task, window)
    return TaskDetail(
      summary: summary, revision: state.revision, specification: specification, now: state.now, rounds: past.rounds,
      roundsEnded: past.ended, models: past.models)
  }

  func explanation(_ task: TaskID) async throws(Problem) -> Explanation {
    if let explanation = await shell.read({ $0.explanation(task) }) { return explanation }
    let why = try await withRow(of: task) { row in row.retired?.now.why }
    return Explanation(task: task, sentence: why, waiting: [], troubles: [], closesInSeconds: nil)
  }

  func push(_ task: TaskID, _ body: TaskBody) async throws(Problem) -> (summary: TaskSummary, isNew: Bool) {
    let specification = try read(body)
    // The id of an ended task cannot be used again.
    if let row = try await history.ask({ (store) throws(StorageError) in try await store.task(task) }) {
      guard row.specification == specification else { throw taken(task) }
      return (try await summary(task), false)
    }
    let problems = await problems(specification)
    guard problems.isEmpty else { throw refusal(body.located(problems)) }
    try await server.submit(.accept(task, specification))
    // Of two simultaneous pushes with one id, the first counts.
    guard await shell.machine.tasks[task]?.specification == specification else { throw taken(task) }
    return (try await summary(task), true)
  }

  func act(_ action: String, on task: TaskID) async throws(Problem) -> TaskSummary {
    guard ["pause", "resume", "cancel", "evaluate"].contains(action) else { throw unknownAction(action) }
    let machine = await shell.machine
    guard let run = machine.tasks[task] else { throw ended(try await summary(task), action) }
    guard !run.isEnded || action == "evaluate" else { throw ended(try await summary(task), action) }
    switch action {
    case "pause": try await server.submit(.pause(task))
    case "resume": try await server.submit(.resume(task))
    case "cancel": try await server.submit(.cancel(task, reason: "cancelled by an operator"))
    case "evaluate":
      guard configuration.testData != nil else {
        throw Problem(.noTestData, "central's configuration has no testData")
      }
      guard run.latestModel != nil else {
        throw Problem(.noModel, "task \(task) has no initial model yet")
      }
      try await server.submit(.evaluate(task))
    default: throw unknownAction(action)
    }
    return try await summary(task)
  }

  private func unknownAction(_ action: String) -> Problem {
    Problem(.unknownAction, "unknown action \"\(action.withoutControlCharacters)\"; known actions: pause, resume, cancel, evaluate")
  }

  private func ended(_ summary: TaskSummary, _ action: String) -> Problem {
    Problem(.taskEnded, "task \(summary.task) is \(summary.step.rawValue): \(Self.refusals[action] ?? "an ended task cannot be changed")")
  }

  /// The reason why an action is refused after the task's end. A task can be evaluated for some time after its end.
  private static let refusals = [
    "pause": "an ended task cannot be paused", "resume": "an ended task cannot be resumed",
    "cancel": "an ended task cannot be cancelled", "evaluate": "it can no longer be evaluated",
  ]

  private func taken(_ task: TaskID) -> Problem {
    Problem(.taskExists, "task \(task) already exists with different content; push it with another id")
  }
}

extension TaskRow {
  /// The task's summary for a list; `nil` if neither its row nor central's memory has one.
  fileprivate func summary(inMemory live: TaskSummary?) -> TaskSummary? {
    var summary = live ?? retired?.summary
    summary?.pushed = began
    summary?.ended = ended
    return summary
  }
}
