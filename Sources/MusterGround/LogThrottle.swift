/// Limits how often similar events are logged. The first events of each kind get a line. After that, one line in each interval says how many
/// events were left out.
package struct LogThrottle: Sendable {
  private struct Window {
    var said = 0
    var leftOut = 0
    var next: ContinuousClock.Instant
  }

  private let first: Int
  private let interval: Duration
  private var windows: [String: Window] = [:]

  package init(first: Int = 1, interval: Duration = .seconds(10)) {
    self.first = first
    self.interval = interval
  }

  /// Decides whether an event gets a log line.
  ///
  /// - Parameter kind: one of a small, fixed set, because each kind is remembered.
  /// - Returns: the number of events of this kind that were left out since its last line, or `nil` when this event is left out, too.
  package mutating func admit(_ kind: String = "", at now: ContinuousClock.Instant = .now) -> Int? {
    var window = windows[kind] ?? Window(next: now)
    defer { windows[kind] = window }
    guard now >= window.next || window.said < first else {
      window.leftOut += 1
      return nil
    }
    window.said += 1
    window.next = now + interval
    defer { window.leftOut = 0 }
    return window.leftOut
  }
}
