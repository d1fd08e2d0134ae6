import Logging
import MusterSchema
import Synchronization

/// Says what was refused and why, without letting whoever is refused fill the log: for each status the first, and then one line in ten
/// seconds with how many there were.
package final class RefusalLog: Sendable {
  private struct Window {
    var next: ContinuousClock.Instant
    var silent = 0
  }

  private let windows = Mutex<[Int: Window]>([:])
  private static let interval = Duration.seconds(10)
  /// What a server under load or attack answers; 404 and the like are everyday.
  private static let noted: Set<Int> = [403, 408, 409, 413, 422, 429, 431, 503, 507]

  package init() {}

  /// - Parameter metadata: without anything secret.
  func note(
    _ status: Int, _ why: String, _ metadata: @autoclosure () -> Logger.Metadata, to logger: Logger, now: ContinuousClock.Instant = .now
  ) {
    guard Self.noted.contains(status) else { return }
    let silent = windows.withLock { windows -> Int? in
      if let window = windows[status], now < window.next {
        windows[status]?.silent += 1
        return nil
      }
      defer { windows[status] = Window(next: now + Self.interval) }
      return windows[status]?.silent ?? 0
    }
    guard let silent else { return }
    var metadata = metadata()
    metadata["http.status"] = "\(status)"
    if silent > 0 { metadata["alike"] = "\(silent)" }
    logger.notice("refused: \(why.withoutControlCharacters.prefix(300))", metadata: metadata)
  }
}
