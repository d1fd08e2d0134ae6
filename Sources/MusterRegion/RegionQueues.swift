import Logging
import MusterSchema
import MusterServer
import MusterShell

/// The questions and deliveries to the coordinator above that a region's desk commands, each kind in its own queue.
final class RegionQueues: Sendable {
  let questions = WorkRunner<String, Question>(width: 4)
  let deliveries = WorkRunner<String, Delivery>(width: 4)
  /// Questions for the list of tasks, with central's data address.
  let listings = WorkRunner<Bool, String>(width: 1)
  /// For each known task, the model that its devices will soon ask for.
  let fetches = WorkRunner<TaskID, Digest>(width: 2)
  private let above: BrokerLink
  private let logger: Logger

  init(above: BrokerLink, logger: Logger) {
    self.above = above
    self.logger = logger
  }

  func carryOut(_ command: RegionDesk.Own) {
    switch command {
    case .publishAbove(let publication): above.publish(publication)
    case .announce: above.publishBirth()
    // Queued again behind a running question with the same key, because that may be about an older job.
    case .ask(let question): questions.add(question.queueKey, question, again: true)
    case .deliver(let delivery): deliveries.add(delivery.queueKey, delivery, again: true)
    case .lacksGrant(let task):
      logger.error("central's invitation has no grant, so devices cannot be admitted", metadata: ["task.id": "\(task)"])
    }
  }
}
