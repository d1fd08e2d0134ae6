package import MusterParticipation

/// The machine's own time. It continues from the last committed instant, and stands still while the process is down.
package struct MachineClock: Sendable {
  private let base: Instant
  private let started: ContinuousClock.Instant

  package init(resuming base: Instant) {
    self.base = base
    started = .now
  }

  package var now: Instant {
    let elapsed = started.duration(to: .now).components
    return Instant(milliseconds: base.milliseconds + elapsed.seconds * 1000 + elapsed.attoseconds / 1_000_000_000_000_000)
  }

  /// The system time at which the machine's time reaches `instant`, plus a millisecond, so that rounding does not make it too early.
  package func time(of instant: Instant) -> ContinuousClock.Instant {
    started + .milliseconds(instant.milliseconds - base.milliseconds + 1)
  }
}
