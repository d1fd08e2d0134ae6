import Logging
import MusterCoordination
import MusterRuntime
import MusterSchema
import MusterStorage

/// Carries out what central's machine wants: topics, answers to uploads, and the long work, which it only queues.
final class CentralPerformer: EffectPerformer {
  typealias M = Coordinator

  private let topics: CoordinatorTopics
  private let work: CentralWork
  private let secret: [UInt8]
  let replies = ContributionReplies()

  init(topics: CoordinatorTopics, work: CentralWork, secret: [UInt8]) {
    self.topics = topics
    self.work = work
    self.secret = secret
  }

  var meter: TrafficMeter { topics.meter }
  var times: PresenceTimes { topics.times }

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
      case .answer(let reply, let answer): replies.resolve(reply, .answered(answer))
      case .evicted(let count, let most): topics.noteEviction(count, of: most)
      case .collect: work.collect(machine.referencedBlobs)
      // A region's.
      case .standingChanged, .consult, .deliver, .giveUp: break
      }
    }
    topics.writeWindows(machine)
  }

  func failed(_ events: [Coordinator.Event], _ error: StorageError) async {
    replies.failed(events, error)
    // What came from topics is lost with the batch: read it again.
    if events.contains(where: { !$0.isRepeated }) { topics.link.renew(after: .seconds(1)) }
  }

  func stopped() async { replies.stopped() }

  private func queue(_ kind: Coordinator.Work, _ task: TaskID, _ round: Int, _ machine: Coordinator) {
    if let order = WorkOrder(kind, task, round, machine) { work.queue(order) }
  }
}
