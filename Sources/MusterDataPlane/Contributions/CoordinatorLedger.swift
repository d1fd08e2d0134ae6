package import MusterCoordination
package import MusterSchema
package import MusterServer
import MusterStorage

/// Makes a coordinator the ledger behind a data plane: central, or a region for its own devices.
package struct CoordinatorLedger: Ledger {
  private let machine: @Sendable () async -> Coordinator
  private let history: HistoryReader
  private let replies: ContributionReplies
  private let post: @Sendable (Coordinator.Event) -> Bool
  private let grant: @Sendable (TaskRun, NodePath) -> Grant?

  /// - Parameters:
  ///   - replies: receives the machine's answers.
  ///   - grant: returns the grant from which the ticket of a path derives; `nil` if it is not known here.
  package init<M: ServerMachine>(
    _ server: Server<M>, replies: ContributionReplies, grant: @escaping @Sendable (TaskRun, NodePath) -> Grant?
  ) {
    machine = { await server.shell.machine.coordinator }
    history = server.history
    self.replies = replies
    post = { server.shell.mailbox.offer(M.event($0)) }
    self.grant = grant
  }

  package func admission(_ key: ContributionKey, ticket: Ticket?) async throws(Problem) -> UploadAdmission {
    await machine().admission(key, ticket: ticket, grant: grant)
  }

  package func accept(_ contribution: ContributionRecord, as key: ContributionKey) async throws(Problem) -> Coordinator.Answer {
    try await replies.ask { reply in
      post(.contribution(key.task, round: key.round, phase: key.phase, contribution, reply: reply))
    }
  }

  package func counted(_ key: ContributionKey) async throws(Problem) -> ContributionRecord? { try await history.contribution(key) }

  package func phaseLedger(task: TaskID, round: Int, phase: Phase) async throws(Problem) -> PhaseLedger? {
    let machine = await machine()
    guard machine.isLedger(of: task) else { return nil }
    if let inProgress = machine.phaseLedger(task, round: round, phase: phase) { return inProgress }
    let accepted = try await history.ask { (store) throws(StorageError) in try await store.paths(of: task, round: round, phase) }
    return PhaseLedger(task: task, round: round, phase: phase, open: false, accepted: accepted)
  }
}
