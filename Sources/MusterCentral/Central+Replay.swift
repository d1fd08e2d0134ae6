import MusterCoordination
import MusterRuntime
import MusterSchema
import MusterShell
import MusterStorage

// Whether a round's record still says what its inputs give.
extension Central {
  /// Computes the model of a closed round again from what is stored, and compares it with what was recorded.
  func replay(_ task: TaskID, round: Int) async throws(Problem) -> ReplayReport {
    guard let run = await shell.machine.tasks[task] else { throw unknown(task) }
    guard let record = run.records.last(where: { $0.round == round }) else {
      throw Problem(.unknownRound, "task \(task) has no record of a round \(round)")
    }
    guard let recorded = record.result, let order = WorkOrder(replaying: record, of: task, run) else {
      throw Problem(
        .noModel, "round \(round) of task \(task) ended without a model: nothing is to be computed")
    }
    var report = ReplayReport(task: task, round: round, recorded: recorded, computed: nil, collected: collected(order))
    guard report.collected.isEmpty else { return report }
    do {
      report.computed = try await work.replay(order, recorded: recorded)
    } catch {
      throw Problem(.replayFailed, "round \(round) of task \(task) could not be computed again: \(error)")
    }
    return report
  }

  /// The inputs that retention has taken.
  private func collected(_ order: WorkOrder) -> [String] {
    var names: [String] = []
    if let base = order.base, store.path(of: base) == nil { names.append("the base model \(base)") }
    if let state = order.state, store.path(of: state) == nil { names.append("the server optimizer's state \(state)") }
    return names + order.contributions.filter { store.path(of: $0.digest) == nil }.map { "the update of \($0.path)" }
  }
}
