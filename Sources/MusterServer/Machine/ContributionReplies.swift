package import MusterCoordination
package import MusterSchema
import MusterStorage
import Synchronization

/// Uploads that wait for the machine's answer, which comes after the records are durable.
package final class ContributionReplies: Sendable {
  private typealias Waiting = CheckedContinuation<Result<Coordinator.Answer, Problem>, Never>

  private let waiting = Mutex<(next: UInt64, continuations: [UInt64: Waiting])>((0, [:]))

  package init() {}

  /// - Parameter post: passes the event with this reply to the machine, and returns false if its mailbox is full.
  /// - Throws: 503 or 507 if there is no answer, because the mailbox is full, the records could not be stored, or the server stops.
  package func ask(_ post: (Coordinator.Reply) -> Bool) async throws(Problem) -> Coordinator.Answer {
    let result = await withCheckedContinuation { (continuation: Waiting) in
      let number = waiting.withLock { waiting in
        waiting.next += 1
        waiting.continuations[waiting.next] = continuation
        return waiting.next
      }
      let reply = Coordinator.Reply(number)
      if !post(reply) { resolve(reply, .failure(Self.unavailable)) }
    }
    return try result.get()
  }

  func resolve(_ reply: Coordinator.Reply, _ answer: Coordinator.Answer) { resolve(reply, .success(answer)) }

  /// Answers the uploads of a batch that was not committed.
  func failed(_ events: some Sequence<Coordinator.Event>, _ error: StorageError) {
    for event in events {
      if case .contribution(_, _, _, _, let reply) = event { resolve(reply, .failure(Problem(error))) }
    }
  }

  /// Ends all waiting when the shell has ended, because no more answers come.
  func stopped() {
    let left = waiting.withLock { waiting in
      defer { waiting.continuations = [:] }
      return waiting.continuations.values
    }
    for continuation in left { continuation.resume(returning: .failure(Self.unavailable)) }
  }

  private func resolve(_ reply: Coordinator.Reply, _ result: Result<Coordinator.Answer, Problem>) {
    waiting.withLock { $0.continuations.removeValue(forKey: reply.number) }?.resume(returning: result)
  }

  private static let unavailable = Problem(.unavailable, "the ledger cannot answer now: try again")
}
