import MusterCoordination
import MusterRuntime
import MusterSchema
import MusterStorage

// What operators ask about tasks, and wish for.
extension Central {
  /// The newest first.
  func summaries() async throws(Problem) -> [TaskSummary] {
    let machine = await shell.machine
    return try await dated(machine.tasks.keys.compactMap(machine.summary))
  }

  func summary(_ task: TaskID) async throws(Problem) -> TaskSummary {
    guard let summary = await shell.machine.summary(task) else { throw unknown(task) }
    return try await dated([summary], of: task)[0]
  }

  /// What happens in it now, as its topic has it once a second.
  func now(_ task: TaskID) async throws(Problem) -> RoundState {
    guard let now = await shell.read({ $0.roundState(task) }) else { throw unknown(task) }
    return now
  }

  func detail(_ task: TaskID, _ window: RoundWindow = .all) async throws(Problem) -> TaskDetail {
    let machine = await shell.machine
    guard let run = machine.tasks[task], let specification = run.specification, let summary = machine.summary(task),
      let now = machine.roundState(task)
    else { throw unknown(task) }
    // A model counts as kept only if its file is there: version 0.1.0 did not keep every model that would be kept today.
    let rounds = window.rounds(of: run.records)
    let first = window == .all ? 0 : rounds.first.map { $0.round - 1 } ?? run.round
    let models = run.models.filter { $0.round >= first }.map { model in
      var model = model
      model.kept = model.kept && store.path(of: model.digest) != nil
      return model
    }
    return TaskDetail(
      summary: try await dated([summary], of: task)[0], revision: run.descriptor.revision, specification: specification, now: now,
      rounds: try await dated(rounds, of: task), roundsEnded: run.records.count, models: models)
  }

  func explanation(_ task: TaskID) async throws(Problem) -> Explanation {
    guard let explanation = await shell.machine.explanation(task) else { throw unknown(task) }
    return explanation
  }

  func push(_ task: TaskID, _ body: [UInt8]) async throws(Problem) -> (summary: TaskSummary, isNew: Bool) {
    let specification = try read(body)
    if let run = await shell.machine.tasks[task] {
      guard run.specification == specification else { throw taken(task) }
      return (try await summary(task), false)
    }
    let problems = await problems(specification)
    guard problems.isEmpty else { throw refusal(problems) }
    try await deliver(.accept(task, specification))
    // Of two pushes at once under one id the first counts.
    guard await shell.machine.tasks[task]?.specification == specification else { throw taken(task) }
    return (try await summary(task), true)
  }

  func act(_ action: String, on task: TaskID) async throws(Problem) -> TaskSummary {
    let machine = await shell.machine
    guard let run = machine.tasks[task] else { throw unknown(task) }
    guard !run.isEnded || action == "evaluate" else {
      throw Problem(
        .taskEnded, "task \(task) is \(machine.summary(task)?.step.rawValue ?? "over"): it takes no \(action.withoutControlCharacters)")
    }
    switch action {
    case "pause": try await deliver(.pause(task))
    case "resume": try await deliver(.resume(task))
    case "cancel": try await deliver(.cancel(task, reason: "cancelled by an operator"))
    case "evaluate":
      guard configuration.testData != nil else {
        throw Problem(.noTestData, "its configuration names no testData")
      }
      guard run.latestModel != nil else {
        throw Problem(.noModel, "task \(task) has not made its initial model")
      }
      try await deliver(.evaluate(task))
    default:
      throw Problem(
        .unknownAction, "\(action.withoutControlCharacters) is none of pause, resume, cancel, evaluate")
    }
    return try await summary(task)
  }

  /// Hands an operator's wish to the machine and waits until it is durable.
  private func deliver(_ event: Coordinator.Event) async throws(Problem) {
    switch await shell.mailbox.submit(event) {
    case .committed: return
    case .busy: throw Problem(.mailboxFull, "its mailbox is full: try again")
    case .failed(let error): throw Problem(error.isDiskFull ? .diskFull : .unavailable, "\(error)")
    }
  }

  /// Every task that regions may ask for, the ended ones of the last day included.
  func descriptors() async -> [TaskDescriptor] { await shell.machine.descriptors }

  private func taken(_ task: TaskID) -> Problem {
    Problem(.taskExists, "task \(task) exists with another content: push under another id")
  }

  func unknown(_ task: TaskID) -> Problem {
    Problem(.unknownTask, "central has no task \(task): `muster task list` names those it has")
  }
}
