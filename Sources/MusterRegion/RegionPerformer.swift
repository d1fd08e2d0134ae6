import Logging
import MusterCoordination
import MusterMQTT
import MusterRuntime
import MusterSchema
import MusterStorage
import MusterTransfer
import Synchronization

/// Carries out what a region's machine wants: topics below, its own statuses above, and questions to the ledger, which it only queues.
final class RegionPerformer: EffectPerformer {
  typealias M = RegionMachine

  /// A question to the ledger above.
  enum Question: Hashable, Sendable {
    case ask(TaskID, RoundKey, upload: String)
    case consult(TaskID, upload: String)
    case collect(Set<Digest>)
    /// Which tasks are there, from central's data address.
    case reconcile(data: String)
  }

  private let id: NodeID
  private let above: BrokerLink
  private let topics: CoordinatorTopics
  private let logger: Logger
  private let window = Mutex(StatusWindow())
  let questions = WorkRunner<String, Question>(width: 4)
  let orders = WorkRunner<RegionOrder.ID, RegionOrder>(width: 2)
  let deliveries = WorkRunner<String, Job>(width: 4)
  let replies = ContributionReplies()

  init(id: NodeID, above: BrokerLink, topics: CoordinatorTopics, logger: Logger) {
    self.id = id
    self.above = above
    self.topics = topics
    self.logger = logger
  }

  func perform(_ effects: [RegionMachine.Effect], of machine: RegionMachine) async {
    var words: [StatusWindow.Word] = []
    for effect in effects {
      switch effect {
      case .status(let status, let lasting): words.append(StatusWindow.Word(status: status, lasting: lasting))
      case .announce: above.publishBirth()
      case .ask(let job): questions.add("ask/\(job.task)", .ask(job.task, job.key, upload: job.invitation.upload), again: true)
      // Again: one that runs may just have found that the job before was done with.
      case .upload(let job): deliveries.add("\(job.task)/\(job.key.round)/\(job.key.phase)", job, again: true)
      case .below(let effect): perform(effect, machine)
      }
    }
    say(window.withLock { $0.take(words, at: .now) })
    topics.writeWindows(machine.coordinator)
  }

  /// Says above what had to wait for its second.
  func sayWaiting() { say(window.withLock { $0.due(at: .now) }) }

  private func say(_ words: [StatusWindow.Word]) {
    for word in words {
      above.publish(
        .nodeStatus(coordinator: .central, node: id, task: word.status.task), word.status,
        quality: word.lasting ? .atLeastOnce : .atMostOnce)
    }
  }

  private func perform(_ effect: Coordinator.Effect, _ machine: RegionMachine) {
    let coordinator = machine.coordinator
    switch effect {
    case .publish(let descriptor): topics.publish(descriptor)
    case .roundChanged(let task): topics.roundChanged(task)
    case .invite(let node, let invitation):
      // Forgotten in the same batch.
      guard coordinator.tasks[invitation.task] != nil else { return }
      guard let grant = coordinator.tasks[invitation.task]?.order?.grant else {
        logger.error("central's invitation carries no grant: devices cannot be admitted", metadata: ["task.id": "\(invitation.task)"])
        return
      }
      topics.invite(node, invitation, grant: grant, isScout: false)
    case .clear(let topic): topics.clear(topic)
    case .consult(let task):
      guard let order = coordinator.tasks[task]?.order else { return }
      questions.add("consult/\(task)", .consult(task, upload: order.upload), again: true)
    case .collect: questions.add("collect", .collect(machine.referencedBlobs), again: true)
    case .aggregate(let task, _): if let order = RegionOrder(task, coordinator) { orders.add(order.id, order) }
    case .evicted(let count, let most): topics.noteEviction(count, of: most)
    case .answer(let reply, let answer): replies.resolve(reply, .answered(answer))
    // The root's work, and what the machine keeps to itself.
    case .initialize, .evaluate, .standingChanged, .deliver, .giveUp: break
    }
  }

  func failed(_ events: [RegionMachine.Event], _ error: StorageError) async {
    replies.failed(events.compactMap { if case .below(let event) = $0 { event } else { nil } }, error)
    // What came from topics is lost with the batch: read it again.
    guard events.contains(where: { !$0.isRepeated }) else { return }
    above.renew(after: .seconds(1))
    topics.link.renew(after: .seconds(1))
  }

  func stopped() async { replies.stopped() }
}
