import Logging
import MusterCoordination
import MusterRuntime
import MusterSchema
import MusterStorage
import Synchronization

/// Carries out what central's machine wants: topics, answers to uploads, and the long work, which it only queues.
final class CentralPerformer: EffectPerformer {
  typealias M = Coordinator

  private let topics: CoordinatorTopics
  private let work: CentralWork
  private let secret: [UInt8]
  private let answers = Mutex<(next: UInt64, waiting: [UInt64: CheckedContinuation<ContributionOutcome, Never>])>((0, [:]))

  init(topics: CoordinatorTopics, work: CentralWork, secret: [UInt8]) {
    self.topics = topics
    self.work = work
    self.secret = secret
  }

  enum ContributionOutcome: Sendable {
    case answered(Coordinator.Answer)
    case failed(StorageError)
    case busy
  }

  func perform(_ effects: [Coordinator.Effect], of machine: Coordinator) async {
    for effect in effects {
      switch effect {
      case .publish(let descriptor): topics.publish(descriptor)
      case .roundChanged(let task): topics.roundChanged(task)
      case .invite(let node, let invitation):
        topics.invite(node, invitation, grant: Grant(secret: secret, task: invitation.task), isScout: true)
      case .clear(let topic): topics.clear(topic)
      case .initialize(let task): queue(.initialize, task, 0, machine)
      case .aggregate(let task, let round): queue(.aggregate, task, round, machine)
      case .evaluate(let task, let round): queue(.evaluate, task, round, machine)
      case .answer(let reply, let answer): resolve(reply, .answered(answer))
      case .collect: work.collect(machine.referencedBlobs)
      case .standingChanged, .consult: break
      }
    }
    topics.writeWindows(machine)
  }

  func failed(_ events: [Coordinator.Event], _ error: StorageError, isFirst: Bool) async {
    for event in events {
      if case .contribution(_, _, _, _, let reply) = event { resolve(reply, .failed(error)) }
    }
    // What came from topics is lost with the batch: read it again.
    if isFirst { topics.link.renew(after: .seconds(1)) }
  }

  func stopped() async {
    let waiting = answers.withLock { answers in
      defer { answers.waiting = [:] }
      return answers.waiting.values
    }
    for continuation in waiting { continuation.resume(returning: .busy) }
  }

  /// Hands a stored contribution to the machine and waits for its word, which comes after the commit.
  func offer(
    _ contribution: ContributionRecord, task: TaskID, round: Int, phase: Phase, to mailbox: Mailbox<Coordinator.Event>
  ) async -> ContributionOutcome {
    await withCheckedContinuation { continuation in
      let number = answers.withLock { answers in
        answers.next += 1
        answers.waiting[answers.next] = continuation
        return answers.next
      }
      let reply = Coordinator.Reply(number)
      if !mailbox.offer(.contribution(task, round: round, phase: phase, contribution, reply: reply)) { resolve(reply, .busy) }
    }
  }

  private func resolve(_ reply: Coordinator.Reply, _ outcome: ContributionOutcome) {
    answers.withLock { $0.waiting.removeValue(forKey: reply.number) }?.resume(returning: outcome)
  }

  private func queue(_ kind: Coordinator.Work, _ task: TaskID, _ round: Int, _ machine: Coordinator) {
    if let order = WorkOrder(kind, task, round, machine) { work.queue(order) }
  }
}
