import MusterParticipation

/// The machine's own time: goes on from the last committed instant, and stands still while the process is down.
struct AgentClock: Sendable {
  private let base: Instant
  private let started = ContinuousClock.now

  init(resuming base: Instant) { self.base = base }

  var now: Instant {
    let elapsed = started.duration(to: .now).components
    return Instant(milliseconds: base.milliseconds + elapsed.seconds * 1000 + elapsed.attoseconds / 1_000_000_000_000_000)
  }

  /// When the system's clock will show that instant; a millisecond later, so that it is not missed by rounding.
  func time(of instant: Instant) -> ContinuousClock.Instant {
    started + .milliseconds(instant.milliseconds - base.milliseconds + 1)
  }
}
