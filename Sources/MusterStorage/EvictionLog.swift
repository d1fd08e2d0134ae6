import Logging
import MusterSchema
import Synchronization

/// Says that something was removed to make room, once in ten seconds with how many more there were: whoever fills the room must not fill the log.
final class EvictionLog: Sendable {
  private let state = Mutex<(next: ContinuousClock.Instant, silent: Int)>((.now, 0))
  private let logger: Logger

  init(_ logger: Logger) { self.logger = logger }

  func note(_ name: String, limit: String, now: ContinuousClock.Instant = .now) {
    let silent = state.withLock { state -> Int? in
      guard now >= state.next else {
        state.silent += 1
        return nil
      }
      defer { state = (now + .seconds(10), 0) }
      return state.silent
    }
    guard let silent else { return }
    logger.notice(
      "a half upload made room for another: \(name.withoutControlCharacters.prefix(200))",
      metadata: ["limit": "data.limits.\(limit)", "alike": "\(silent)"])
  }
}
