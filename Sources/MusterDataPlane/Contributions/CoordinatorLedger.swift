package import MusterCoordination
import MusterGround
package import MusterSchema
package import MusterServer
import MusterStorage

/// A coordinator as the ledger behind a data plane: central, or a region for its own devices. Admits, counts, says what it has.
package struct CoordinatorLedger: Ledger {
  private let machine: @Sendable () async -> Coordinator
  private let history: History
  private let replies: ContributionReplies
  private let post: @Sendable (Coordinator.Event) -> Bool
  private let grant: @Sendable (TaskRun, NodePath) -> Grant?
  private let maximumBytes: Int

  /// - Parameters:
  ///   - replies: where the machine's answers come.
  ///   - grant: the grant that the ticket of a path derives from; `nil` when it is not known here.
  package init<M: ServerMachine>(
    _ server: Server<M>, replies: ContributionReplies, grant: @escaping @Sendable (TaskRun, NodePath) -> Grant?
  ) {
    machine = { await server.shell.machine.coordinator }
    history = server.history
    self.replies = replies
    post = { server.shell.mailbox.offer(M.event($0)) }
    self.grant = grant
    maximumBytes = server.configuration.uploads.contributionBytes
  }

  package func admission(_ key: ContributionKey, ticket: Ticket?) async -> ContributionAdmission {
    let machine = await machine()
    switch machine.entry(key.task, round: key.round, phase: key.phase, path: key.path, ticket: ticket, grant: grant) {
    case .unknown: return .unknown
    case .refused(let why): return .refused(why)
    case .closed(let why): return .closed(why)
    case .past(let why):
      do {
        return try await history.contribution(key).map { .accepted($0.digest) } ?? .closed(why)
      } catch {
        return .unavailable
      }
    case .accepted(let digest): return .accepted(digest)
    case .open(let base):
      guard let run = machine.tasks[key.task] else { return .unknown }
      return .open(
        base: base, maximumWeight: run.descriptor.maximumWeight, maximumBytes: maximumBytes, maximumDevices: run.maximumDevices(key.path),
        encoding: run.descriptor.encoding)
    }
  }

  package func accept(_ offer: ContributionOffer) async -> Acceptance {
    let key = offer.key
    let record = ContributionRecord(
      path: key.path, digest: offer.digest, weight: offer.weight, bytes: offer.bytes, count: offer.count, metrics: offer.metrics)
    let outcome = await replies.ask { reply in
      post(.contribution(key.task, round: key.round, phase: key.phase, record, reply: reply))
    }
    switch outcome {
    case .answered(.stored): return .stored
    case .answered(.same): return .same
    case .answered(.conflict): return .conflict
    case .answered(.closed(let why)): return await past(offer, why)
    case .answered(.refused(let why)): return .invalid(why)
    case .answered(.unknown): return .unknown
    case .failed(let error): return error.isDiskFull ? .full : .unavailable
    case .busy: return .unavailable
    }
  }

  /// The word on a contribution whose phase was closed while its body came: the same may have counted in it.
  private func past(_ offer: ContributionOffer, _ why: String) async -> Acceptance {
    do {
      guard let earlier = try await history.contribution(offer.key) else { return .closed(why) }
      return earlier.digest == offer.digest ? .same : .conflict
    } catch {
      return .unavailable
    }
  }

  package func phaseLedger(task: TaskID, round: Int, phase: Phase) async throws(Problem) -> PhaseLedger? {
    let machine = await machine()
    guard machine.isLedger(of: task) else { return nil }
    if let inProgress = machine.phaseLedger(task, round: round, phase: phase) { return inProgress }
    let accepted = try await history.ask { (store) throws(StorageError) in try await store.paths(of: task, round: round, phase) }
    return PhaseLedger(task: task, round: round, phase: phase, open: false, accepted: accepted)
  }
}
