import Logging
import MusterGround
import MusterSchema
import Synchronization

/// Logs that a partial upload was removed to make room. The lines are throttled, so that a sender that fills the room cannot fill the log.
final class EvictionLog: Sendable {
  private let throttle = Mutex(LogThrottle())
  private let logger: Logger

  init(_ logger: Logger) { self.logger = logger }

  func note(_ name: String, limit: String, now: ContinuousClock.Instant = .now) {
    guard let leftOut = throttle.withLock({ $0.admit(at: now) }) else { return }
    logger.notice(
      "a partial upload was removed to make room for another: \(name.withoutControlCharacters.prefix(200))",
      metadata: ["limit": "data.limits.\(limit)", "alike": "\(leftOut)"])
  }
}
