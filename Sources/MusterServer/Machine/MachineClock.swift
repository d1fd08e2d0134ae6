package import MusterParticipation

/// A machine's own time: goes on from the last committed instant, and stands still while the process is down.
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

  /// When the system's clock will show that instant; a millisecond later, so that it is not missed by rounding.
  package func time(of instant: Instant) -> ContinuousClock.Instant {
    started + .milliseconds(instant.milliseconds - base.milliseconds + 1)
  }
}
