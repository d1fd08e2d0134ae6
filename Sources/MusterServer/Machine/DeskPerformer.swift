import MusterCoordination
package import MusterParticipation
package import MusterSchema
package import MusterShell
package import MusterStorage
import Synchronization

/// Carries out the commands of a desk: publishes, answers uploads, and queues long work.
package final class DeskPerformer<D: Desk>: EffectPerformer {
  package typealias M = D.M

  package let replies = ContributionReplies()
  private let desk: Mutex<D>
  private let topics: CoordinatorTopics
  private let work: ServerWork<M, D.Item>
  private let links: [BrokerLink]
  private let carryOut: @Sendable (D.Own) -> Void
  private let changed: @Sendable () -> Void

  /// - Parameters:
  ///   - links: connections to renew when messages were lost with a batch, so that their retained topics are read again.
  ///   - changed: called after each batch with effects.
  ///   - carryOut: carries out the commands that only this desk has.
  package init(
    _ desk: D, of server: Server<M>, work: ServerWork<M, D.Item>, links: [BrokerLink], changed: @escaping @Sendable () -> Void = {},
    carryOut: @escaping @Sendable (D.Own) -> Void
  ) {
    self.desk = Mutex(desk)
    topics = server.topics
    self.work = work
    self.links = links
    self.changed = changed
    self.carryOut = carryOut
  }

  package func withDesk<Result>(_ body: (inout D) -> sending Result) -> sending Result { desk.withLock { body(&$0) } }

  package var next: Instant? { desk.withLock(\.next) }

  package func perform(_ effects: [M.Effect], of machine: M, at now: Instant) async {
    let commands = desk.withLock { desk in
      effects.compactMap { desk.command(for: $0, of: machine) } + desk.due(of: machine, at: now)
    }
    for command in commands {
      switch command {
      case .publish(let publication): topics.publish(publication)
      case .work(let key, let item): work.queue(item, key)
      case .answer(let reply, let answer): replies.resolve(reply, answer)
      case .collect(let referenced): work.collect(keeping: referenced)
      case .evicted(let count, let most): topics.noteEviction(count, of: most)
      case .own(let own): carryOut(own)
      }
    }
    if !effects.isEmpty { changed() }
  }

  /// Publishes the desk's answer to a message on a task's own topic.
  package func repair(_ task: TaskID, _ found: FoundDescriptor, owed machine: M) {
    let publications = desk.withLock { $0.repair(found, of: task, owed: machine) }
    for publication in publications { topics.publish(publication) }
  }

  package func failed(_ events: [M.Event], _ error: StorageError) async {
    replies.failed(events.compactMap { M.coordinatorEvent($0) }, error)
    guard desk.withLock({ $0.readsTopicsAgain(after: events, areDropped: error.isUnstorable) }) else { return }
    for link in links { link.renew(after: .seconds(1)) }
  }

  package func stopped() async { replies.stopped() }
}
