import Logging
import MusterCoordination
import MusterParticipation
import MusterSchema
import MusterServer
import MusterShell
import MusterStorage
import Synchronization

/// Carries out what a region's machine wants, as its desk translates it: publishes below and above, and queues questions and long work.
final class RegionPerformer: EffectPerformer {
  typealias M = RegionMachine

  private let above: BrokerLink
  private let topics: CoordinatorTopics
  private let logger: Logger
  private let desk: Mutex<RegionDesk>
  let questions = WorkRunner<String, Question>(width: 4)
  /// Which tasks there are, asked at central's data address.
  let listings = WorkRunner<Bool, String>(width: 1)
  let collections = WorkRunner<Bool, Set<Digest>>(width: 1)
  let orders = WorkRunner<WorkKey, LongWork<RegionOrder>>(width: 2)
  let deliveries = WorkRunner<String, Delivery>(width: 4)
  let replies = ContributionReplies()

  init(id: NodeID, above: BrokerLink, topics: CoordinatorTopics, storeIsNew: Bool, logger: Logger) {
    self.above = above
    self.topics = topics
    self.logger = logger
    desk = Mutex(RegionDesk(id, above: .central, storeIsNew: storeIsNew))
  }

  var next: Instant? { desk.withLock(\.next) }

  func perform(_ effects: [RegionMachine.Effect], of machine: RegionMachine, at now: Instant) async {
    let commands = desk.withLock { desk in
      effects.compactMap { desk.command(for: $0, of: machine) } + desk.due(of: machine, at: now)
    }
    for command in commands {
      switch command {
      case .publish(let publication): topics.publish(publication)
      case .publishAbove(let publication): above.publish(publication)
      case .announce: above.publishBirth()
      // Again afterwards: the question that runs may be about an older job.
      case .ask(let question): questions.add(question.queueKey, question, again: true)
      case .deliver(let delivery): deliveries.add(delivery.queueKey, delivery, again: true)
      case .work(let key, let order): orders.add(key, LongWork(order))
      case .collect(let referenced): collections.add(true, referenced, again: true)
      case .answer(let reply, let answer): replies.resolve(reply, .answered(answer))
      case .evicted(let count, let most): topics.noteEviction(count, of: most)
      case .lacksGrant(let task):
        logger.error("central's invitation carries no grant: devices cannot be admitted", metadata: ["task.id": "\(task)"])
      }
    }
  }

  /// Publishes what the desk answers to a message on a task's own topic: the descriptor again, or the clearing of both task topics.
  func repair(_ task: TaskID, _ found: FoundDescriptor, owed machine: RegionMachine) {
    desk.withLock { $0.repair(found, of: task, owed: machine) }.forEach(topics.publish)
  }

  /// Asks central which tasks there are.
  func list(from state: CoordinatorState) {
    if let data = desk.withLock({ $0.listing(from: state) }) { listings.add(true, data, again: true) }
  }

  /// Central has listed its tasks.
  func knowsTheTasks() { if desk.withLock({ $0.knowsTheTasks() }) { topics.link.renew(after: .seconds(1)) } }

  func failed(_ events: [RegionMachine.Event], _ error: StorageError) async {
    replies.failed(events.compactMap { if case .below(let event) = $0 { event } else { nil } }, error)
    guard desk.withLock({ $0.readsTopicsAgain(after: events, areDropped: error.isUnstorable) }) else { return }
    above.renew(after: .seconds(1))
    topics.link.renew(after: .seconds(1))
  }

  func stopped() async { replies.stopped() }
}
