import Logging
import MusterCoordination
import MusterParticipation
import MusterSchema
import MusterServer
import MusterShell
import MusterStorage
import Synchronization

/// Carries out what central's machine wants, as its desk translates it: publishes, answers uploads, and queues long work.
final class CentralPerformer: EffectPerformer {
  typealias M = Coordinator

  private let topics: CoordinatorTopics
  private let work: CentralWork
  private let desk: Mutex<CentralDesk>
  let replies = ContributionReplies()
  let feed: EventFeed

  init(topics: CoordinatorTopics, work: CentralWork, feed: EventFeed, state: StateFolder) {
    self.topics = topics
    self.feed = feed
    self.work = work
    desk = Mutex(CentralDesk(secret: state.secretKey))
  }

  var meter: TrafficMeter { topics.meter }
  var times: PresenceTimes { topics.times }
  var next: Instant? { desk.withLock(\.next) }

  func perform(_ effects: [Coordinator.Effect], of machine: Coordinator, at now: Instant) async {
    let commands = desk.withLock { desk in
      effects.compactMap { desk.command(for: $0, of: machine) } + desk.due(of: machine, at: now)
    }
    for command in commands {
      switch command {
      case .publish(let publication): topics.publish(publication)
      case .work(let key, let order): work.queue(order, key)
      case .answer(let reply, let answer): replies.resolve(reply, .answered(answer))
      case .collect(let referenced): work.collect(referenced)
      case .evicted(let count, let most): topics.noteEviction(count, of: most)
      }
    }
    if !effects.isEmpty { feed.noteChange() }
  }

  /// Publishes what the desk answers to a message on a task's own topic: the descriptor again, or the clearing of both task topics.
  func repair(_ task: TaskID, _ found: FoundDescriptor, owed machine: Coordinator) {
    let repair = desk.withLock { $0.repair(found, of: task, owed: machine) }
    if case .publish(let publications) = repair { publications.forEach(topics.publish) }
  }

  func failed(_ events: [Coordinator.Event], _ error: StorageError) async {
    replies.failed(events, error)
    if desk.withLock({ $0.readsTopicsAgain(after: events, areDropped: error.isUnstorable) }) { topics.link.renew(after: .seconds(1)) }
  }

  func stopped() async { replies.stopped() }
}
