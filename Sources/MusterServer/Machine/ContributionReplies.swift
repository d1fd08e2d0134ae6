package import MusterCoordination
package import MusterStorage
import Synchronization

/// Uploads that wait for the machine's word on them, which comes after its records are durable.
package final class ContributionReplies: Sendable {
  package enum Outcome: Sendable {
    case answered(Coordinator.Answer)
    case failed(StorageError)
    case busy
  }

  private let waiting = Mutex<(next: UInt64, continuations: [UInt64: CheckedContinuation<Outcome, Never>])>((0, [:]))

  package init() {}

  /// - Parameter post: hands the event with this reply to the machine; false when its mailbox is full.
  package func ask(_ post: (Coordinator.Reply) -> Bool) async -> Outcome {
    await withCheckedContinuation { continuation in
      let number = waiting.withLock { waiting in
        waiting.next += 1
        waiting.continuations[waiting.next] = continuation
        return waiting.next
      }
      let reply = Coordinator.Reply(number)
      if !post(reply) { resolve(reply, .busy) }
    }
  }

  package func resolve(_ reply: Coordinator.Reply, _ outcome: Outcome) {
    waiting.withLock { $0.continuations.removeValue(forKey: reply.number) }?.resume(returning: outcome)
  }

  /// The batch was not committed.
  package func failed(_ events: some Sequence<Coordinator.Event>, _ error: StorageError) {
    for event in events {
      if case .contribution(_, _, _, _, let reply) = event { resolve(reply, .failed(error)) }
    }
  }

  /// The shell has ended: nobody else answers.
  package func stopped() {
    let left = waiting.withLock { waiting in
      defer { waiting.continuations = [:] }
      return waiting.continuations.values
    }
    for continuation in left { continuation.resume(returning: .busy) }
  }
}
