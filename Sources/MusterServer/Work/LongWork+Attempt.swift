package import Logging
import MusterGround
import MusterSchema
package import MusterShell

extension Trouble {
  /// Whether the error itself states that it may pass.
  package static func isPassing(_ error: any Error) -> Bool { (error as? any PassingTrouble)?.isPassing ?? false }
}

/// The connections of a piece of long work to its server: the machine to which it reports, the log, and its reports.
package struct LongWorkReports<Event: Sendable>: Sendable {
  /// Name of the work in the log.
  package var name: String
  package var mailbox: Mailbox<Event>
  package var logger: Logger
  /// Whether the machine would still accept a result.
  package var isWanted: @Sendable () async -> Bool
  /// Classifies the error of an attempt.
  package var trouble: @Sendable (any Error) -> Trouble
  /// The event that tells the machine why the work is delayed.
  package var delayed: @Sendable (_ reason: String) -> Event
  /// The event that tells the machine that the work is given up.
  package var failed: @Sendable (_ reason: String) -> Event

  package init(
    _ name: String, mailbox: Mailbox<Event>, logger: Logger, isWanted: @escaping @Sendable () async -> Bool,
    trouble: @escaping @Sendable (any Error) -> Trouble, delayed: @escaping @Sendable (_ reason: String) -> Event,
    failed: @escaping @Sendable (_ reason: String) -> Event
  ) {
    self.name = name
    self.mailbox = mailbox
    self.logger = logger
    self.isWanted = isWanted
    self.trouble = trouble
    self.delayed = delayed
    self.failed = failed
  }
}

extension LongWork where Item: Sendable {
  /// Makes one attempt, and submits its result until the machine has stored it.
  ///
  /// Does nothing if the machine no longer accepts a result. Work that is cancelled because the server stops is done after the next start.
  ///
  /// - Parameter attempt: makes the result.
  /// - Returns: how the attempt ended. Work that is to be done again has counted the attempt.
  package func carryOut<Key, Event>(
    _ reports: LongWorkReports<Event>, attempt: () async throws -> Event
  ) async -> WorkQueue<Key, LongWork>.End {
    guard await reports.isWanted() else { return .finished }
    let result: Event
    do {
      result = try await attempt()
    } catch {
      if Task.isCancelled { return .finished }
      reports.logger.error("\(reports.name) failed: \(error)")
      var again = self
      if let pause = again.pause(after: reports.trouble(error)) {
        await reports.mailbox.post(reports.delayed("\(error)"))
        return .again(again, after: pause)
      }
      result = reports.failed("\(error)")
    }
    await handOver(result, reports)
    return .finished
  }

  private func handOver<Event>(_ result: Event, _ reports: LongWorkReports<Event>) async {
    while !Task.isCancelled {
      let isDurable = if case .committed = await reports.mailbox.submit(result) { true } else { false }
      guard let pause = pause(afterReport: isDurable) else { return }
      reports.logger.warning("the result of \(reports.name) cannot be stored yet, retrying")
      do { try await Task.sleep(for: .seconds(pause)) } catch { return }
    }
  }
}
