package import Logging
package import MusterCoordination
package import MusterSchema
package import MusterShell

/// A server's long work beside its machine, two pieces at a time, and the removal of blobs without a reference.
package final class ServerWork<M: ServerMachine, Item: WorkItem>: Sendable {
  /// Makes one attempt at a piece of work, and returns the event with its result for the coordinator.
  package typealias Attempt = @Sendable (Item, Logger) async throws -> Coordinator.Event

  private let server: Server<M>
  private let trouble: @Sendable (any Error) -> Trouble
  private let attempt: Attempt
  private let pieces = WorkRunner<WorkKey, LongWork<Item>>(width: 2)
  private let collections = WorkRunner<Bool, Set<Digest>>(width: 1)
  private let collector: BlobCollector

  /// - Parameter trouble: classifies the error of an attempt.
  package init(_ server: Server<M>, trouble: @escaping @Sendable (any Error) -> Trouble, attempt: @escaping Attempt) {
    self.server = server
    self.trouble = trouble
    self.attempt = attempt
    collector = BlobCollector(state: server.state, logger: server.logger)
  }

  package func queue(_ item: Item, _ key: WorkKey) { pieces.add(key, LongWork(item)) }

  /// - Parameter referenced: all blobs to which the machine refers.
  package func collect(keeping referenced: Set<Digest>) { collections.add(true, referenced, again: true) }

  package var services: [BackgroundService] {
    [
      BackgroundService { await self.pieces.runAttempts { await self.perform($0) } },
      BackgroundService { await self.collections.run { await self.collector.collect(keeping: $0) } },
      sweeper { await self.collector.sweep(keeping: await self.server.shell.machine.coordinator.referencedBlobs) },
    ]
  }

  private func perform(_ work: LongWork<Item>) async -> WorkQueue<WorkKey, LongWork<Item>>.End {
    let (key, shell) = (work.item.key, server.shell)
    var logger = server.logger
    logger[metadataKey: "task.id"] = "\(key.task)"
    logger[metadataKey: "round"] = "\(key.round)"
    let reports = LongWorkReports<M.Event>(
      key.kind.rawValue, mailbox: shell.mailbox, logger: logger, isWanted: { await shell.read { key.isWanted(by: $0.coordinator) } },
      trouble: trouble, delayed: { M.event(key.delayed($0)) }, failed: { M.event(key.failed($0)) })
    return await work.carryOut(reports) { [attempt, logger] in M.event(try await attempt(work.item, logger)) }
  }
}
