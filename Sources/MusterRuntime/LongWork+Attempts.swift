package import Logging
import MusterSchema
package import MusterShell

extension LongWork {
  /// What an error says of itself.
  package static func isPassing(_ error: any Error) -> Bool { (error as? any PassingTrouble)?.isPassing ?? false }

  /// Makes attempts until one succeeds or the work is given up, then hands the result over until it is durable.
  ///
  /// Work that is cancelled is owed: it is done after the next start.
  ///
  /// - Parameters:
  ///   - name: for the log.
  ///   - attempt: makes the result.
  ///   - trouble: what an attempt failed for.
  ///   - delayed: tells the machine what the work waits for.
  ///   - failed: tells the machine that it is given up.
  package static func carryThrough<Event: Sendable>(
    _ name: String, reportingTo mailbox: Mailbox<Event>, logger: Logger, attempt: () async throws -> Event, trouble: (any Error) -> Trouble,
    delayed: (_ reason: String) -> Event, failed: (_ reason: String) -> Event
  ) async {
    var work = LongWork()
    var result: Event?
    while result == nil {
      do {
        result = try await attempt()
      } catch {
        if Task.isCancelled { return }
        logger.error("\(name) failed: \(error)")
        if let pause = work.pause(after: trouble(error)) {
          await mailbox.post(delayed("\(error)"))
          do { try await Task.sleep(for: .seconds(pause)) } catch { return }
        } else {
          result = failed("\(error)")
        }
      }
    }
    while let event = result, !Task.isCancelled {
      let isDurable = if case .committed = await mailbox.submit(event) { true } else { false }
      guard let pause = work.pause(afterReport: isDurable) else { return }
      logger.warning("the result of \(name) is not stored yet: it is tried again")
      do { try await Task.sleep(for: .seconds(pause)) } catch { return }
    }
  }
}
