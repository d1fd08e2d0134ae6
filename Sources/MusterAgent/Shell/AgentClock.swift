import MusterParticipation

/// The machine's own time. It continues from the last committed instant, and stands still while the process is down.
struct AgentClock: Sendable {
  private let base: Instant
  private let started = ContinuousClock.now

  init(resuming base: Instant) { self.base = base }

  var now: Instant {
    let elapsed = started.duration(to: .now).components
    return Instant(milliseconds: base.milliseconds + elapsed.seconds * 1000 + elapsed.attoseconds / 1_000_000_000_000_000)
  }

  /// The continuous clock's time for an instant. One millisecond is added, so that rounding does not wake the shell too early.
  func time(of instant: Instant) -> ContinuousClock.Instant {
    started + .milliseconds(instant.milliseconds - base.milliseconds + 1)
  }
}
