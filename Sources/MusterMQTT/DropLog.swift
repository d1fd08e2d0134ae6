package import Logging
import Synchronization

/// Says which messages were dropped, without letting whoever sends them fill the log: the first twenty, and then one line in ten seconds with
/// how many there were.
package final class DropLog: Sendable {
  fileprivate struct State {
    var said = 0
    var silent = 0
    var next: ContinuousClock.Instant?
  }

  private let logger: Logger
  private let state = Mutex(State())
  fileprivate static let first = 20
  fileprivate static let interval = Duration.seconds(10)

  package init(_ logger: Logger) { self.logger = logger }

  /// - Parameters:
  ///   - why: without a payload, and without control characters.
  ///   - topic: nil when it is part of why.
  package func note(_ why: @autoclosure () -> String, topic: @autoclosure () -> String?, now: ContinuousClock.Instant = .now) {
    guard let silent = state.withLock({ $0.turn(now) }) else { return }
    var metadata: Logger.Metadata = [:]
    if let topic = topic() { metadata["topic"] = "\(topic)" }
    if silent > 0 { metadata["alike"] = "\(silent)" }
    logger.notice("a message was dropped: \(why())", metadata: metadata)
  }
}

extension DropLog.State {
  /// How many were not said since the last line; nil: this one is not said either.
  fileprivate mutating func turn(_ now: ContinuousClock.Instant) -> Int? {
    if let next, now < next, said >= DropLog.first {
      silent += 1
      return nil
    }
    said += 1
    next = now + DropLog.interval
    defer { silent = 0 }
    return silent
  }
}
