import MusterSchema
import MusterSimulation
import Testing

@testable import MusterCoordination

extension Coordinator {
  /// Everything durable, as strings in a stable order.
  var durable: [String] {
    tasks.keys.sorted().map { id in
      guard let run = tasks[id] else { return "" }
      var descriptor = run.descriptor
      descriptor.secondsLeft = nil
      // Whether a round recruits again, and whether an order was taken back, is soft state that is learned again.
      let stage =
        switch run.stage {
        case .recruiting where run.train != nil: TaskRun.Stage.training
        case .waiting where run.train != nil: TaskRun.Stage.scouting
        default: run.stage
        }
      let metrics = run.stage == .evaluating ? "\(sorted(run.centralMetrics)) \(run.centralEvaluates)" : ""
      return """
        \(id) \(text(descriptor)) \(stage) round \(run.round).\(run.attempt) \(run.expires) paused \(String(describing: run.pausedAt)) \
        ended \(String(describing: run.endedAt)) progress \(text(run.progress)) refused \(sorted(run.refused)) \
        metrics \(metrics) train \(durable(run.train)) evaluation \(durable(run.evaluation))
        """
    }
  }

  private func durable(_ phase: PhaseRun?) -> String {
    guard let phase else { return "none" }
    let order = phase.order.map { text($0) } ?? "none"
    let accepted = phase.accepted.values.sorted { $0.path < $1.path }
    // A scout learns its seats from topics, and the time at which a round opened matters only for its record.
    return """
      \(phase.key) \(text(phase.base)) \(phase.seed) \(phase.needed) \(phase.minimum) \(phase.deadline) \
      \(phase.order == nil ? "\(phase.isClosed)" : "") order \(order) accepted \(text(accepted))
      """
  }

  private func sorted<Value>(_ values: [String: Value]?) -> String {
    (values ?? [:]).sorted { $0.key < $1.key }.map { "\($0)=\($1)" }.joined()
  }

  private func text(_ value: some Codable) -> String {
    do { return String(decoding: try JSON.encode(value), as: UTF8.self) } catch { return "\(error)" }
  }

  /// Everything owed, without the time left: a machine's clock resumes from the store's last instant, not from its last record.
  var owedAtAnyTime: [Effect] {
    owed().map { effect in
      guard case .publish(var descriptor) = effect else { return effect }
      descriptor.secondsLeft = nil
      return .publish(descriptor)
    }
  }

  /// The same without the question whether an order still holds, which only a restart asks.
  var owedButQuestions: [Effect] { owedAtAnyTime.filter { if case .consult = $0 { false } else { true } } }
}

extension World {
  /// Checks after every commit that the journal restores the present state.
  func checksReplay() {
    afterCommit = { [unowned self] server in
      if let region = region(server) { checkReplay(region.shell, \.coordinator) } else { checkReplay(central.shell, \.self) }
    }
  }

  /// Replays the journal with and without the records that later ones replaced.
  private func checkReplay<M>(_ shell: ServerDriver<M>, _ coordinator: (M) -> Coordinator) {
    let live = coordinator(shell.machine)
    let whole = coordinator(shell.replay(shell.disk.journal))
    let kept = coordinator(shell.replay(shell.disk.kept))
    same(whole.durable, live.durable, "\(live.id): the journal gives back another state")
    same(kept.durable, live.durable, "\(live.id): what the store keeps gives back another state")
    same(kept.owedAtAnyTime, whole.owedAtAnyTime, "\(live.id): what the store keeps owes something else")
    same(whole.owedButQuestions, live.owedButQuestions, "\(live.id): a restart owes something else")
    for task in live.tasks.keys.sorted() where live.tasks[task]?.specification != nil {
      #expect(live.referencedBlobs == whole.referencedBlobs && live.referencedBlobs == kept.referencedBlobs)
    }
  }
}

/// Shows where two long lists begin to differ.
private func same<Element: Equatable>(_ restored: [Element], _ live: [Element], _ comment: String) {
  guard restored != live else { return }
  let (left, right) = (restored.map { "\($0)" }.joined(separator: "\n"), live.map { "\($0)" }.joined(separator: "\n"))
  let common = zip(left, right).prefix { $0 == $1 }.count
  let start = max(0, common - 120)
  Issue.record("\(comment)\n restored …\(left.dropFirst(start).prefix(240))\n live     …\(right.dropFirst(start).prefix(240))")
}
