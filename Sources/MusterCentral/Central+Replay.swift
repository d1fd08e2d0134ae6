import MusterCoordination
import MusterSchema
import MusterServer
import MusterShell
import MusterStorage
import Synchronization

// Checks whether a round's inputs still give the recorded model.
extension Central {
  /// Computes the model of a closed round again from the stored inputs, and compares it with the recorded one.
  func replay(_ task: TaskID, round: Int) async throws(Problem) -> ReplayReport {
    // A replay reads all updates of a round and computes for seconds to minutes.
    guard beginReplay() else {
      throw Problem(.tooManyRequests, "central is computing another round again: try again when it has finished")
    }
    defer { isReplaying.withLock { $0 = false } }
    let record = try await history.record(of: task, round: round)
    // The base of a round is the newest model before it.
    let before = PageRequest(limit: 1, after: round)
    let base = try await history.ask { (store) throws(StorageError) in try await store.models(of: task, before).rows.first }
    let specification = try await history.row(task).specification
    guard let recorded = record.result, let specification,
      let item = CentralWorkItem(replaying: record, of: task, specification, state: base?.digest == record.base ? base?.state : nil)
    else {
      throw Problem(
        .noModel, "round \(round) of task \(task) ended without a model, so there is nothing to compute again")
    }
    var report = ReplayReport(task: task, round: round, recorded: recorded, computed: nil, collected: collected(item))
    guard report.collected.isEmpty else { return report }
    do {
      report.computed = try await trainers.replay(item, recorded: recorded)
    } catch {
      throw Problem(.replayFailed, "round \(round) of task \(task) could not be computed again: \(error)")
    }
    return report
  }

  /// - Returns: false when another replay is running.
  private func beginReplay() -> Bool {
    isReplaying.withLock { isReplaying in
      guard !isReplaying else { return false }
      isReplaying = true
      return true
    }
  }

  /// The inputs that retention has removed.
  private func collected(_ item: CentralWorkItem) -> [String] {
    var names: [String] = []
    if let base = item.base, !state.contains(base) { names.append("the base model \(base)") }
    if let optimizer = item.state, !state.contains(optimizer) { names.append("the server optimizer's state \(optimizer)") }
    return names + item.contributions.filter { !state.contains($0.digest) }.map { "the update of \($0.path)" }
  }
}
