package import Logging
import MusterGround
import Synchronization

/// Says which messages were dropped, without letting whoever sends them fill the log: the first twenty, and then one line in ten seconds with
/// how many there were.
package final class DropLog: Sendable {
  private let logger: Logger
  private let throttle = Mutex(LogThrottle(first: 20))

  package init(_ logger: Logger) { self.logger = logger }

  /// - Parameters:
  ///   - why: without a payload, and without control characters.
  ///   - topic: nil when it is part of why.
  package func note(_ why: @autoclosure () -> String, topic: @autoclosure () -> String?, now: ContinuousClock.Instant = .now) {
    guard let leftOut = throttle.withLock({ $0.admit(at: now) }) else { return }
    var metadata: Logger.Metadata = [:]
    if let topic = topic() { metadata["topic"] = "\(topic)" }
    if leftOut > 0 { metadata["alike"] = "\(leftOut)" }
    logger.notice("a message was dropped: \(why())", metadata: metadata)
  }
}
