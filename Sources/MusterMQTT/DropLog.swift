package import Logging
import MusterGround
import Synchronization

/// Logs which messages were dropped. The first twenty get a line, then one line in ten seconds says how many were left out, so that a
/// sender cannot fill the log.
package final class DropLog: Sendable {
  private let logger: Logger
  private let throttle = Mutex(LogThrottle(first: 20))

  package init(_ logger: Logger) { self.logger = logger }

  /// Logs one dropped message, or counts it.
  ///
  /// - Parameters:
  ///   - why: the reason, without a payload and without control characters.
  ///   - topic: `nil` when the reason names the topic.
  package func note(_ why: @autoclosure () -> String, topic: @autoclosure () -> String?, now: ContinuousClock.Instant = .now) {
    guard let leftOut = throttle.withLock({ $0.admit(at: now) }) else { return }
    var metadata: Logger.Metadata = [:]
    if let topic = topic() { metadata["topic"] = "\(topic)" }
    if leftOut > 0 { metadata["alike"] = "\(leftOut)" }
    logger.notice("a message was dropped: \(why())", metadata: metadata)
  }
}
