package import Logging
import MusterGround
import MusterSchema
import Synchronization

/// Logs refused requests without letting clients fill the log.
///
/// For each status it logs the first refusal, and then at most one line in ten seconds, with the number of those left out.
package final class RefusalLog: Sendable {
  private let throttle = Mutex(LogThrottle())
  private let listener: String
  private let logger: Logger
  /// Statuses that show load or an attack. 404 and other common statuses are not logged.
  private static let noted: Set<Int> = [403, 408, 409, 413, 422, 429, 431, 503, 507]

  /// - Parameter listener: the listener's name, as in the key of a limit.
  package init(_ listener: String, logger: Logger) {
    self.listener = listener
    self.logger = logger
  }

  /// - Parameters:
  ///   - limit: the last part of the configuration key of the limit that was exceeded.
  ///   - metadata: must not contain secrets.
  func note(
    _ status: Int, _ why: String, limit: String? = nil, _ metadata: @autoclosure () -> Logger.Metadata = [:],
    now: ContinuousClock.Instant = .now
  ) {
    guard Self.noted.contains(status) else { return }
    guard let leftOut = throttle.withLock({ $0.admit("\(status)", at: now) }) else { return }
    var metadata = metadata()
    metadata["http.status"] = "\(status)"
    if let limit { metadata["limit"] = "\(listener).limits.\(limit)" }
    if leftOut > 0 { metadata["alike"] = "\(leftOut)" }
    logger.notice("refused: \(why.withoutControlCharacters.prefix(300))", metadata: metadata)
  }
}
